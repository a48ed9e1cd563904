// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward-inl.h"

// Compiled once per instruction set. This one symbol is all that leaves it.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {

extern const BackwardKernels kBackwardKernels;
const BackwardKernels kBackwardKernels = {.lanes = kLanes,
                                          .scratch = backward_scratch,
                                          .prepare_rows = prepare_rows,
                                          .begin = begin_backward,
                                          .begin_keys = begin_keys,
                                          .walk = walk_backward,
                                          .store_keys = store_keys,
                                          .add_queries = add_queries};

}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
