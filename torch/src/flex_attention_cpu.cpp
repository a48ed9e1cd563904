// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <fovea/torch_tensor.h>
#include "errors.h"
#include "flex_attention_ops.h"
#include "flex_call.h"

namespace fovea::torch {
namespace {

constexpr const char* kForward = "flex_attention";
constexpr const char* kBackward = "flex_attention_backward";

at::Tensor empty_rows(const at::Tensor& query) {
  const auto sizes = query.sym_sizes();
  const auto type = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::empty_symint(sizes.slice(0, sizes.size() - 1), query.options().dtype(type));
}

at::Tensor nothing(const at::Tensor& like) { return at::empty({0}, like.options()); }

void check_ranks(const char* where, const at::Tensor& query, const at::Tensor& key,
                 const at::Tensor& value) {
  TORCH_CHECK_NOT_IMPLEMENTED(
      query.dim() == 4 && key.dim() == 4 && value.dim() == 4, "[", where,
      "] query, key and value must have 4 dimensions (batch, heads, length, "
      "head_dim): expected 4, got ",
      query.dim(), ", ", key.dim(), " and ", value.dim());
}

// Gradients of captured tensors are computed in float32 (float64 for float64 inputs) and then rounded.
at::Tensor capture_gradient(const at::Tensor& capture, const at::Tensor& query) {
  const auto type = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::empty(capture.sizes(), query.options().dtype(type));
}

struct CaptureGradients {
  std::vector<at::Tensor> tensors;  // by the caller's list; undefined if not wanted
  std::vector<TensorView> views;    // by the program's slots
};

CaptureGradients capture_gradients(at::TensorList captures, const BoundProgram& bound,
                                   at::IntArrayRef wanted, const at::Tensor& query) {
  CaptureGradients gradients;
  gradients.tensors.resize(captures.size());
  gradients.views.resize(bound.sources.size());
  for (std::size_t i = 0; i < captures.size(); ++i) {
    if (wanted[i] != 0) gradients.tensors[i] = capture_gradient(captures[i], query);
  }
  std::vector<bool> written(captures.size());
  for (std::size_t slot = 0; slot < bound.sources.size(); ++slot) {
    const auto source = static_cast<std::size_t>(bound.sources[slot]);
    if (!gradients.tensors[source].defined()) continue;
    gradients.views[slot] = view_of(gradients.tensors[source]);
    written[source] = true;
  }
  for (std::size_t i = 0; i < captures.size(); ++i) {
    // The result does not depend on it.
    if (gradients.tensors[i].defined() && !written[i]) gradients.tensors[i].zero_();
  }
  return gradients;
}

std::vector<at::Tensor> rounded(CaptureGradients gradients, at::TensorList captures) {
  std::vector<at::Tensor> result;
  for (std::size_t i = 0; i < captures.size(); ++i) {
    const at::Tensor& gradient = gradients.tensors[i];
    result.push_back(gradient.defined() ? gradient.to(captures[i].scalar_type())
                                        : nothing(captures[i]));
  }
  return result;
}

}  // namespace

ForwardResult forward_meta(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           FOVEA_FLEX_PARAMETERS, bool want_max_scores) {
  check_ranks(kForward, query, key, value);
  return {empty_output(query, value.sym_size(3)), empty_rows(query),
          want_max_scores ? empty_rows(query) : nothing(query)};
}

ForwardResult forward_cpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          FOVEA_FLEX_PARAMETERS, bool want_max_scores) {
  check_ranks(kForward, query, key, value);
  return translated([&]() -> ForwardResult {
    FlexCall call(kForward, FOVEA_FLEX_ARGUMENTS);
    const at::Tensor out = empty_output(query, value.sym_size(3));
    const at::Tensor lse = empty_rows(query);
    const at::Tensor max_scores = want_max_scores ? empty_rows(query) : nothing(query);
    call.options.lse = view_of(lse);
    if (want_max_scores) call.options.max_scores = view_of(max_scores);
    fovea::flex_attention(view_of(query), view_of(key), view_of(value), view_of(out), call.options);
    return {out, lse, max_scores};
  });
}

std::string explain_cpu(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                        FOVEA_FLEX_PARAMETERS) {
  check_ranks(kForward, query, key, value);
  return translated([&] {
    const FlexCall call(kForward, FOVEA_FLEX_ARGUMENTS);
    const at::Tensor out = empty_output(query, value.sym_size(3));
    return fovea::explain(view_of(query), view_of(key), view_of(value), view_of(out), call.options);
  });
}

BackwardResult backward_meta(FOVEA_BACKWARD_PARAMETERS, FOVEA_FLEX_PARAMETERS,
                             at::IntArrayRef wanted) {
  const auto like = [&](const at::Tensor& tensor, std::size_t i) {
    return wanted[i] != 0 ? at::empty_symint(tensor.sym_sizes(), tensor.options())
                          : nothing(tensor);
  };
  const auto all = [&](at::TensorList tensors, std::size_t first) {
    std::vector<at::Tensor> result;
    for (std::size_t i = 0; i < tensors.size(); ++i) result.push_back(like(tensors[i], first + i));
    return result;
  };
  return {like(query, 0),         like(key, 1),
          like(value, 2),         sinks.has_value() ? like(*sinks, 3) : nothing(query),
          all(score_captures, 4), all(weight_captures, 4 + score_captures.size())};
}

BackwardResult backward_cpu(FOVEA_BACKWARD_PARAMETERS, FOVEA_FLEX_PARAMETERS,
                            at::IntArrayRef wanted) {
  return translated([&]() -> BackwardResult {
    FlexCall call(kBackward, FOVEA_FLEX_ARGUMENTS);
    const std::size_t scores = score_captures.size();
    FlexGradients gradients;
    const auto gradient = [&](const at::Tensor& tensor, std::size_t i, TensorView& view) {
      if (wanted[i] == 0) return nothing(tensor);
      at::Tensor result = at::empty(tensor.sizes(), tensor.options());
      view = view_of(result);
      return result;
    };
    const at::Tensor dquery = gradient(query, 0, gradients.query);
    const at::Tensor dkey = gradient(key, 1, gradients.key);
    const at::Tensor dvalue = gradient(value, 2, gradients.value);
    at::Tensor dsinks = nothing(query);
    if (wanted[3] != 0) {
      dsinks = capture_gradient(*sinks, query);
      gradients.sinks = view_of(dsinks);
    }
    CaptureGradients score =
        capture_gradients(score_captures, call.score, wanted.slice(4, scores), query);
    CaptureGradients weight = capture_gradients(
        weight_captures, call.weight, wanted.slice(4 + scores, weight_captures.size()), query);
    gradients.score_captures = score.views;
    gradients.weight_captures = weight.views;
    BackwardInputs saved{.out = view_of(out), .lse = view_of(lse), .dout = view_of(dout)};
    if (dlse.has_value() && dlse->defined()) saved.dlse = view_of(*dlse);
    fovea::flex_attention_backward(view_of(query), view_of(key), view_of(value), saved, gradients,
                                   call.options);
    if (wanted[3] != 0) dsinks = dsinks.to(sinks->scalar_type());
    return {dquery,
            dkey,
            dvalue,
            dsinks,
            rounded(std::move(score), score_captures),
            rounded(std::move(weight), weight_captures)};
  });
}

}  // namespace fovea::torch
