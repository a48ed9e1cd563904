// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <fovea/torch.h>

/// Modules on the fused kernels, with the state_dict names of their Python twins (fovea.modules).
namespace fovea::torch {

struct CausalSelfAttentionOptions {
  int64_t num_heads = 1;
  int64_t embed_dimension = 1;  ///< a multiple of num_heads
  bool bias = false;            ///< of both projections
  bool is_causal = false;       ///< a token sees itself and earlier ones
  double dropout = 0;           ///< of the weights and of the result, in training alone
};

/// Multi-head self-attention with one projection for queries, keys and values, as in PyTorch's tutorial on
/// scaled_dot_product_attention, whose names it has: c_attn, c_proj.
class FOVEA_API CausalSelfAttentionImpl : public ::torch::nn::Module {
 public:
  /// c10::ValueError if the heads do not divide the embedding.
  explicit CausalSelfAttentionImpl(const CausalSelfAttentionOptions& options);
  /// (B, L, E) -> (B, L, E)
  at::Tensor forward(const at::Tensor& x);

  const CausalSelfAttentionOptions options;
  ::torch::nn::Linear c_attn{nullptr}, c_proj{nullptr};
  ::torch::nn::Dropout resid_dropout{nullptr};
};
// As TORCH_MODULE would, which does not find torch from in here.
class CausalSelfAttention : public ::torch::nn::ModuleHolder<CausalSelfAttentionImpl> {
 public:
  using Impl = CausalSelfAttentionImpl;
  using ::torch::nn::ModuleHolder<CausalSelfAttentionImpl>::ModuleHolder;
};

}  // namespace fovea::torch
