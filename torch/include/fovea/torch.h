// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include <fovea/attention.h>
#include <fovea/torch_tensor.h>

/// Fused attention on at::Tensor, with autograd: what <fovea/attention.h> is on plain memory. Link
/// fovea::torch. Gradients reach query, key, value, sinks and every floating tensor that a mod captures
/// and that requires one.
///
///   auto slopes = register_parameter("slopes", ::torch::zeros({heads}));
///   auto slope = fovea::torch::capture(slopes);
///   fovea::torch::FlexOptions options;
///   options.score_mod = fovea::torch::score_mod([=](auto s, auto, auto h, auto q, auto kv) {
///     return s + slope[h] * (kv - q);
///   });
///   auto out = fovea::torch::flex_attention(query, key, value, options);
///
/// Errors are torch's: c10::ValueError for a broken rule, c10::NotImplementedError for what no backend can;
/// fovea::InvalidArgument from tracing a mod.
namespace fovea::torch {

namespace detail {
// Tensors that the mod which this thread traces has read so far.
inline thread_local std::vector<at::Tensor>* read_tensors = nullptr;
}  // namespace detail

/// A tensor that a mod reads, by the same operators as fovea::Capture. It is held, not copied: later values
/// are seen, without tracing again.
class TensorCapture {
 public:
  /// InvalidArgument for a dtype that mods do not read.
  explicit TensorCapture(at::Tensor tensor)
      : capture_(view_of(tensor)), tensor_(std::move(tensor)) {}

  Value operator[](const Value& index) const {
    note();
    return capture_[index];
  }
  template <class... Index>
    requires(sizeof...(Index) > 0 && (std::convertible_to<Index, Value> && ...))
  Value operator()(const Index&... index) const {
    note();
    return capture_(index...);
  }
  operator Value() const {  // NOLINT: implicit by design: a 0-d tensor is a number
    note();
    return capture_;
  }

 private:
  void note() const {
    if (detail::read_tensors != nullptr) detail::read_tensors->push_back(tensor_);
  }
  Capture capture_;
  at::Tensor tensor_;
};

inline TensorCapture capture(at::Tensor tensor) { return TensorCapture(std::move(tensor)); }

/// A traced mod with its tensors; empty: no mod.
struct Mod {
  std::string text;                  ///< as Program::to_string gives it
  std::vector<at::Tensor> captures;  ///< t0, t1, ... of the text
};

/// What was traced, with the tensors that its captures view. InvalidArgument if one of them is not among
/// `tensors`: a mod reads tensors through fovea::torch::capture.
FOVEA_API Mod mod_of(const Program& program, const std::vector<at::Tensor>& tensors);

namespace detail {
template <class Trace>
Mod traced(Trace&& trace) {
  std::vector<at::Tensor> tensors;
  struct Restore {
    std::vector<at::Tensor>* before = read_tensors;
    ~Restore() { read_tensors = before; }
  } restore;
  read_tensors = &tensors;
  return mod_of(trace(), tensors);
}
}  // namespace detail

/// As fovea::score_mod, weight_mod and mask_mod, for lambdas that read at::Tensors.
template <class F>
Mod score_mod(F&& mod) {
  return detail::traced([&] { return fovea::score_mod(std::forward<F>(mod)); });
}
template <class F>
Mod weight_mod(F&& mod) {
  return detail::traced([&] { return fovea::weight_mod(std::forward<F>(mod)); });
}
template <class F>
Mod mask_mod(F&& mod) {
  return detail::traced([&] { return fovea::mask_mod(std::forward<F>(mod)); });
}

/// Keeps each weight with probability 1 - p, times 1 / (1 - p): a weight_mod with a seed from torch's
/// generator, the same in forward and backward. InvalidArgument if p is no probability.
FOVEA_API Mod dropout(double p);

/// A block mask is a tensor that names it: cheap to copy, and kept by autograd like any other.
FOVEA_API at::Tensor create_block_mask(const Mod& mask, const BlockMaskOptions& options);
template <class F>
  requires(!std::convertible_to<F, const Mod&>)
at::Tensor create_block_mask(F&& mod, const BlockMaskOptions& options) {
  return torch::create_block_mask(torch::mask_mod(std::forward<F>(mod)), options);
}

/// As fovea::FlexOptions; undefined tensors are not given.
struct FlexOptions {
  Mod score_mod, weight_mod;
  at::Tensor block_mask;  ///< of create_block_mask
  Causal causal = Causal::none;
  std::optional<double> scale = std::nullopt;  ///< default 1/sqrt(head_dim)
  at::Tensor sinks;                            ///< (Hq)
  at::Tensor cu_seqlens_q, cu_seqlens_kv;      ///< (N + 1)
  at::Tensor page_table, kv_lens;              ///< (B, pages), (B)
};

struct FlexResult {
  at::Tensor out;         ///< (B, Hq, Lq, Ev), the query's dtype
  at::Tensor lse;         ///< (B, Hq, Lq) float32 (float64 of float64 inputs); differentiable
  at::Tensor max_scores;  ///< likewise, without a gradient; of size 0 if not asked for
};

/// query (B, Hq, Lq, E), key (B or 1, Hkv, Lk, E), value (B or 1, Hkv, Lk, Ev): float64, float32, bfloat16
/// or float16, any strides. Hq a multiple of Hkv.
FOVEA_API FlexResult flex_attention_with_lse(const at::Tensor& query, const at::Tensor& key,
                                             const at::Tensor& value,
                                             const FlexOptions& options = {},
                                             bool max_scores = false);
inline at::Tensor flex_attention(const at::Tensor& query, const at::Tensor& key,
                                 const at::Tensor& value, const FlexOptions& options = {}) {
  return flex_attention_with_lse(query, key, value, options).out;
}

/// The last Lq tokens of each sequence against its cache: flex_attention with Causal::lower_right.
FOVEA_API FlexResult decode(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            FlexOptions options = {});

/// Attention over all keys, from attention over disjoint sets of them; (out, lse), differentiable.
/// <fovea/merge.h> has the formula.
FOVEA_API std::tuple<at::Tensor, at::Tensor> merge_attention(at::TensorList outs,
                                                             at::TensorList lses);

struct SdpaOptions {
  at::Tensor
      attn_mask;  ///< bool (true: may look) or floating (added); broadcasts to (B, Hq, Lq, Lk)
  double dropout_p = 0;
  bool is_causal = false;  ///< not with attn_mask
  std::optional<double> scale = std::nullopt;
  bool enable_gqa = false;
};

/// softmax(query key^T * scale + mask) value, as torch's function of this name. A query that may look
/// nowhere gives 0. Four dimensions each.
FOVEA_API at::Tensor scaled_dot_product_attention(const at::Tensor& query, const at::Tensor& key,
                                                  const at::Tensor& value,
                                                  const SdpaOptions& options = {});

}  // namespace fovea::torch
