// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/decode-inl.h"
#include "cpu/attention/forward-inl.h"
#include "cpu/attention/pack-inl.h"

// Compiled once per instruction set. This one symbol is all that leaves it.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {

extern const AttentionKernels kAttentionKernels;
const AttentionKernels kAttentionKernels = {.lanes = kLanes,
                                            .block_rows = kBlockRows,
                                            .block_columns = kBlockColumns,
                                            .pairs = FOVEA_SIMD_PAIRS != 0,
                                            .pack_keys = pack_keys,
                                            .pack_values = pack_values,
                                            .forward_scratch = forward_scratch,
                                            .forward = forward,
                                            .decode_scratch = decode_scratch,
                                            .decode = decode,
                                            .decode_merge = decode_merge};

}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
