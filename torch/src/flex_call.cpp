// SPDX-License-Identifier: Apache-2.0
#include "flex_call.h"

#include <ATen/ops/empty.h>

#include <fovea/torch_tensor.h>
#include "torch_executor.h"

namespace fovea::torch {
namespace {

std::optional<TensorView> optional_view(const std::optional<at::Tensor>& tensor) {
  if (!tensor.has_value() || !tensor->defined()) return std::nullopt;
  return view_of(*tensor);
}

}  // namespace

FlexCall::FlexCall(const char* where, FOVEA_FLEX_PARAMETERS) {
  score = bind_program(
      where, ModKind::score,
      {score_mod, score_captures, C10_AS_INTARRAYREF_SLOW(score_integers), score_floats});
  weight = bind_program(
      where, ModKind::weight,
      {weight_mod, weight_captures, C10_AS_INTARRAYREF_SLOW(weight_integers), weight_floats});
  options.score_mod = score.program;
  options.weight_mod = weight.program;
  if (block_mask.has_value() && block_mask->defined()) {
    mask_ = mask_of(where, *block_mask);
    options.block_mask = mask_->mask;
  }
  options.causal = static_cast<Causal>(causal);
  options.scale = scale;
  options.sinks = optional_view(sinks);
  options.cu_seqlens_q = optional_view(cu_seqlens_q);
  options.cu_seqlens_kv = optional_view(cu_seqlens_kv);
  options.page_table = optional_view(page_table);
  options.kv_lens = optional_view(kv_lens);
  options.executor = &torch_executor();
}

at::Tensor empty_output(const at::Tensor& query, const c10::SymInt& value_dim) {
  const c10::SymIntArrayRef sizes = query.sym_sizes();
  if (query.dim() == 4 && query.transpose(1, 2).is_contiguous() && !query.is_contiguous()) {
    return at::empty_symint({sizes[0], sizes[2], sizes[1], value_dim}, query.options())
        .transpose(1, 2);
  }
  std::vector<c10::SymInt> shape(sizes.begin(), sizes.end());
  if (!shape.empty()) shape.back() = value_dim;
  return at::empty_symint(shape, query.options());
}

}  // namespace fovea::torch
