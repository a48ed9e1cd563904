// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>

/// The attention operators, kernel by kernel: CPU, Meta, Autograd and Autocast register from here.
namespace fovea::torch {

/// The arguments after query, key and value, as the schema in registration.cpp lists them.
#define FOVEA_FLEX_PARAMETERS                                                                    \
  [[maybe_unused]] const std::string &score_mod, [[maybe_unused]] at::TensorList score_captures, \
      [[maybe_unused]] c10::SymIntArrayRef score_integers,                                       \
      [[maybe_unused]] at::ArrayRef<double> score_floats,                                        \
      [[maybe_unused]] const std::string &weight_mod,                                            \
      [[maybe_unused]] at::TensorList weight_captures,                                           \
      [[maybe_unused]] c10::SymIntArrayRef weight_integers,                                      \
      [[maybe_unused]] at::ArrayRef<double> weight_floats,                                       \
      [[maybe_unused]] const std::optional<at::Tensor>&block_mask,                               \
      [[maybe_unused]] const std::optional<at::Tensor>&sinks,                                    \
      [[maybe_unused]] const std::optional<at::Tensor>&cu_seqlens_q,                             \
      [[maybe_unused]] const std::optional<at::Tensor>&cu_seqlens_kv,                            \
      [[maybe_unused]] const std::optional<at::Tensor>&page_table,                               \
      [[maybe_unused]] const std::optional<at::Tensor>&kv_lens, [[maybe_unused]] int64_t causal, \
      [[maybe_unused]] std::optional<double> scale
#define FOVEA_FLEX_ARGUMENTS                                                                      \
  score_mod, score_captures, score_integers, score_floats, weight_mod, weight_captures,           \
      weight_integers, weight_floats, block_mask, sinks, cu_seqlens_q, cu_seqlens_kv, page_table, \
      kv_lens, causal, scale

using ForwardResult = std::tuple<at::Tensor, at::Tensor, at::Tensor>;  // out, lse, max_scores
/// dquery, dkey, dvalue, dsinks, then by capture; what is not wanted is an empty tensor of size 0.
using BackwardResult = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor,
                                  std::vector<at::Tensor>, std::vector<at::Tensor>>;

ForwardResult forward_cpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          FOVEA_FLEX_PARAMETERS, bool want_max_scores);
ForwardResult forward_meta(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           FOVEA_FLEX_PARAMETERS, bool want_max_scores);
ForwardResult forward_autograd(const at::Tensor& query, const at::Tensor& key,
                               const at::Tensor& value, FOVEA_FLEX_PARAMETERS,
                               bool want_max_scores);
ForwardResult forward_autocast(const at::Tensor& query, const at::Tensor& key,
                               const at::Tensor& value, FOVEA_FLEX_PARAMETERS,
                               bool want_max_scores);

/// The last tokens of each sequence against its cache: as flex_attention, without max_scores. It is made of
/// that operator, and so has whatever that has.
std::tuple<at::Tensor, at::Tensor> decode_op(const at::Tensor& query, const at::Tensor& key,
                                             const at::Tensor& value, FOVEA_FLEX_PARAMETERS);

/// What the call would do, as text: fovea::explain.
std::string explain_cpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                        FOVEA_FLEX_PARAMETERS);

/// `wanted`: query, key, value, sinks, then each score capture, then each weight capture.
#define FOVEA_BACKWARD_PARAMETERS                                                                 \
  [[maybe_unused]] const at::Tensor &dout, [[maybe_unused]] const std::optional<at::Tensor>&dlse, \
      const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,                    \
      [[maybe_unused]] const at::Tensor &out, [[maybe_unused]] const at::Tensor &lse
BackwardResult backward_cpu(FOVEA_BACKWARD_PARAMETERS, FOVEA_FLEX_PARAMETERS,
                            at::IntArrayRef wanted);
BackwardResult backward_meta(FOVEA_BACKWARD_PARAMETERS, FOVEA_FLEX_PARAMETERS,
                             at::IntArrayRef wanted);
BackwardResult backward_autograd(FOVEA_BACKWARD_PARAMETERS, FOVEA_FLEX_PARAMETERS,
                                 at::IntArrayRef wanted);

}  // namespace fovea::torch
