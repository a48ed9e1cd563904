// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>

#include <fovea/torch_modules.h>

namespace fovea::torch {

CausalSelfAttentionImpl::CausalSelfAttentionImpl(const CausalSelfAttentionOptions& given)
    : options(given) {
  TORCH_CHECK_VALUE(options.num_heads >= 1 && options.embed_dimension % options.num_heads == 0,
                    "[CausalSelfAttention] embed_dimension: expected a multiple of num_heads = ",
                    options.num_heads, ", got ", options.embed_dimension);
  const int64_t size = options.embed_dimension;
  const auto linear = [&](int64_t out) {
    return ::torch::nn::Linear(::torch::nn::LinearOptions(size, out).bias(options.bias));
  };
  c_attn = register_module("c_attn", linear(3 * size));
  c_proj = register_module("c_proj", linear(size));
  resid_dropout = register_module("resid_dropout", ::torch::nn::Dropout(options.dropout));
}

at::Tensor CausalSelfAttentionImpl::forward(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == options.embed_dimension,
                    "[CausalSelfAttention] x: expected (batch, length, ", options.embed_dimension,
                    "), got ", x.sizes());
  const auto heads = [&](const at::Tensor& part) {
    return part.unflatten(-1, {options.num_heads, options.embed_dimension / options.num_heads})
        .transpose(1, 2);
  };
  const auto parts = c_attn(x).chunk(3, -1);
  SdpaOptions sdpa;
  sdpa.is_causal = options.is_causal;
  sdpa.dropout_p = is_training() ? options.dropout : 0;
  const at::Tensor out =
      scaled_dot_product_attention(heads(parts[0]), heads(parts[1]), heads(parts[2]), sdpa);
  return resid_dropout(c_proj(out.transpose(1, 2).flatten(-2)));
}

}  // namespace fovea::torch
