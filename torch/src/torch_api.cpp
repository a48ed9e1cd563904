// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>

#include <fovea/dropout.h>
#include <fovea/error.h>
#include <fovea/torch.h>
#include "block_mask_ops.h"
#include "flex_attention_ops.h"
#include "merge_ops.h"
#include "operators.h"

/// The C++ functions: they call the operators, so that autograd, autocast and the rest see them.
namespace fovea::torch {
namespace {

// The tensor as a mod sees it: dimensions of size 1 are the same for all.
std::string index_of(const at::Tensor& mask) {
  constexpr const char* kNames[] = {"b", "h", "q", "kv"};
  std::string text = "t0[";
  for (int64_t i = 0; i < 4; ++i) {
    text += std::string(i == 0 ? "" : ", ") + (mask.size(i) == 1 ? "0" : kNames[i]);
  }
  return text + "]";
}

const char* program_type(at::ScalarType type) {
  switch (type) {
    case at::kBool: return "bool";
    case at::kFloat: return "f32";
    case at::kDouble: return "f64";
    case at::kBFloat16: return "bf16";
    case at::kHalf: return "f16";
    default: return nullptr;
  }
}

// attn_mask as a score_mod: read where it is, with its own broadcasting.
Mod mask_as_mod(const at::Tensor& query, const at::Tensor& key, const at::Tensor& mask) {
  const char* type = program_type(mask.scalar_type());
  TORCH_CHECK_VALUE(type != nullptr,
                    "[scaled_dot_product_attention] attn_mask: expected bool or floating, got ",
                    mask.scalar_type());
  TORCH_CHECK_VALUE(mask.dim() <= 4,
                    "[scaled_dot_product_attention] attn_mask: expected at most 4 dimensions, got ",
                    mask.dim());
  at::Tensor whole = mask;
  while (whole.dim() < 4) whole = whole.unsqueeze(0);
  const int64_t sizes[] = {query.size(0), query.size(1), query.size(2), key.size(2)};
  for (int64_t i = 0; i < 4; ++i) {
    TORCH_CHECK_VALUE(
        whole.size(i) == 1 || whole.size(i) == sizes[i],
        "[scaled_dot_product_attention] attn_mask: expected a shape that broadcasts to ",
        at::IntArrayRef(sizes), ", got ", mask.sizes());
  }
  const std::string read = index_of(whole);
  const std::string result =
      mask.scalar_type() == at::kBool ? "where(" + read + ", score, -inf)" : "score + " + read;
  return {"score_mod(score, b, h, q, kv; t0: " + std::string(type) + "[4]) {\n  return " + result +
              "\n}",
          {whole}};
}

}  // namespace

Mod mod_of(const Program& program, const std::vector<at::Tensor>& tensors) {
  Mod mod;
  if (!program) return mod;
  mod.text = program.to_string();
  for (const TensorView& view : program.captures()) {
    const at::Tensor* found = nullptr;
    for (const at::Tensor& tensor : tensors) {
      const TensorView other = view_of(tensor);
      if (other.data == view.data && other.dtype == view.dtype && other.sizes == view.sizes &&
          other.strides == view.strides) {
        found = &tensor;
        break;
      }
    }
    if (found == nullptr) {
      throw InvalidArgument(
          "[mod] captured tensors: expected each through fovea::torch::capture, got t" +
          std::to_string(mod.captures.size()) + " as plain memory");
    }
    mod.captures.push_back(*found);
  }
  return mod;
}

Mod dropout(double p) {
  const auto integer = at::TensorOptions().dtype(at::kLong);
  const at::Tensor seed = at::randint(-(int64_t{1} << 31), int64_t{1} << 31, {1}, integer);
  const at::Tensor offset = at::zeros({1}, integer);
  // It reads both as words of 32 bits.
  return mod_of(fovea::dropout(p, view_of(seed), view_of(offset)),
                {seed.view(at::kInt), offset.view(at::kInt)});
}

at::Tensor create_block_mask(const Mod& mask, const BlockMaskOptions& options) {
  static const auto op = find_operator<decltype(create_block_mask_op)>("fovea::create_block_mask");
  return op.call(mask.text, mask.captures, {}, {}, options.batch, options.heads, options.q_len,
                 options.kv_len, options.block_size.q, options.block_size.kv);
}

FlexResult flex_attention_with_lse(const at::Tensor& query, const at::Tensor& key,
                                   const at::Tensor& value, const FlexOptions& options,
                                   bool max_scores) {
  static const auto op = find_operator<decltype(forward_cpu)>("fovea::flex_attention");
  auto [out, lse, largest] = op.call(
      query, key, value, options.score_mod.text, options.score_mod.captures, {}, {},
      options.weight_mod.text, options.weight_mod.captures, {}, {}, if_defined(options.block_mask),
      if_defined(options.sinks), if_defined(options.cu_seqlens_q),
      if_defined(options.cu_seqlens_kv), if_defined(options.page_table),
      if_defined(options.kv_lens), static_cast<int64_t>(options.causal), options.scale, max_scores);
  return {out, lse, largest};
}

FlexResult decode(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  FlexOptions options) {
  options.causal = Causal::lower_right;
  return flex_attention_with_lse(query, key, value, options);
}

std::tuple<at::Tensor, at::Tensor> merge_attention(at::TensorList outs, at::TensorList lses) {
  static const auto op = find_operator<decltype(merge_cpu)>("fovea::merge_attention");
  return op.call(outs, lses);
}

at::Tensor scaled_dot_product_attention(const at::Tensor& query, const at::Tensor& key,
                                        const at::Tensor& value, const SdpaOptions& options) {
  TORCH_CHECK_NOT_IMPLEMENTED(
      query.dim() == 4 && key.dim() == 4 && value.dim() == 4,
      "[scaled_dot_product_attention] query, key and value: expected 4 dimensions, got ",
      query.dim(), ", ", key.dim(), " and ", value.dim());
  TORCH_CHECK_VALUE(
      !(options.is_causal && options.attn_mask.defined()),
      "[scaled_dot_product_attention] is_causal and attn_mask: expected one of the two, got both");
  TORCH_CHECK_VALUE(
      options.enable_gqa || query.size(1) == key.size(1),
      "[scaled_dot_product_attention] heads: expected as many of the key as of the query without "
      "enable_gqa, got ",
      key.size(1), " and ", query.size(1));
  FlexOptions flex;
  if (options.attn_mask.defined()) flex.score_mod = mask_as_mod(query, key, options.attn_mask);
  if (options.dropout_p != 0) flex.weight_mod = dropout(options.dropout_p);
  if (options.is_causal) flex.causal = Causal::upper_left;
  flex.scale = options.scale;
  return flex_attention(query, key, value, flex);
}

}  // namespace fovea::torch
