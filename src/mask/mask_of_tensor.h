// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <fovea/block_mask.h>
#include <fovea/executor.h>
#include <fovea/tensor.h>

/// A block mask of a tensor that says for every position whether it is allowed.
namespace fovea::mask {

/// What create_block_mask makes of a mask_mod that reads `allowed`, in one pass over its bytes.
///   allowed  bool on the CPU, (1 or B, 1 or H, 1 or q_len, 1 or kv_len), not checked; any strides
/// The result's mask_mod reads it, so that its memory must outlive the mask.
BlockMask mask_of_tensor(const char* where, const TensorView& allowed, int64_t q_len,
                         int64_t kv_len, Executor& executor);

}  // namespace fovea::mask
