// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>

/// Operators on block masks. A mask is the tensor that names it (mask_registry.h).
namespace fovea::torch {

#define FOVEA_MOD_PARAMETERS                                                          \
  const std::string &mask_mod, at::TensorList captures, c10::SymIntArrayRef integers, \
      at::ArrayRef<double> floats

at::Tensor create_block_mask_op(FOVEA_MOD_PARAMETERS, c10::SymInt batch, c10::SymInt heads,
                                c10::SymInt q_len, c10::SymInt kv_len, c10::SymInt block_q,
                                c10::SymInt block_kv);

/// Index tensors in PyTorch's form. A mask_mod "" allows all of a partial block.
at::Tensor block_mask_from_kv_blocks(const at::Tensor& kv_num_blocks, const at::Tensor& kv_indices,
                                     const std::optional<at::Tensor>& full_kv_num_blocks,
                                     const std::optional<at::Tensor>& full_kv_indices,
                                     FOVEA_MOD_PARAMETERS, int64_t q_len, int64_t kv_len,
                                     int64_t block_q, int64_t block_kv);

/// batch, heads, q_len, kv_len, block_q, block_kv, full, partial, skipped, memory_bytes, lists_decide.
std::vector<int64_t> block_mask_info(const at::Tensor& mask);

/// kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices, then the same by column.
std::vector<at::Tensor> block_mask_lists(const at::Tensor& mask);

/// [batch, heads, q_len, kv_len] bool of a mask program, every position by itself.
at::Tensor create_mask_op(FOVEA_MOD_PARAMETERS, int64_t batch, int64_t heads, int64_t q_len,
                          int64_t kv_len);

std::string block_mask_to_string(const at::Tensor& mask, int64_t b, int64_t h, int64_t rows,
                                 int64_t columns);
at::Tensor block_mask_index(const at::Tensor& mask, at::OptionalIntArrayRef batch,
                            at::OptionalIntArrayRef heads, at::OptionalIntArrayRef rows);
at::Tensor block_mask_adjusted(const at::Tensor& mask, int64_t q_len, int64_t kv_len);
at::Tensor block_mask_with_mask_mod(const at::Tensor& mask, FOVEA_MOD_PARAMETERS);

}  // namespace fovea::torch
