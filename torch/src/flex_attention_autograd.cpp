// SPDX-License-Identifier: Apache-2.0
#include <ATen/autocast_mode.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>

#include "flex_attention_ops.h"
#include "operators.h"

namespace fovea::torch {
namespace {

using ::torch::autograd::AutogradContext;
using ::torch::autograd::Function;
using ::torch::autograd::variable_list;

const auto& forward_operator() {
  static const auto op = find_operator<decltype(forward_cpu)>("fovea::flex_attention");
  return op;
}

const auto& backward_operator() {
  static const auto op = find_operator<decltype(backward_cpu)>("fovea::flex_attention_backward");
  return op;
}

at::Tensor or_undefined(const std::optional<at::Tensor>& tensor) {
  return tensor.has_value() ? *tensor : at::Tensor();
}

bool wants_gradient(const at::Tensor& tensor) { return tensor.defined() && tensor.requires_grad(); }

// Saved tensors in this order, then the captured ones.
enum Saved : std::size_t {
  kQuery,
  kKey,
  kValue,
  kOut,
  kLse,
  kMask,
  kSinks,
  kCuSeqlensQ,
  kCuSeqlensKv,
  kPageTable,
  kKvLens,
  kCaptures
};

// Arguments of apply() that are not tensors or lists of tensors, in backward's result.
constexpr std::size_t kAfterScoreCaptures = 3;  // integers, floats, the weight_mod's text

class FlexAttention : public Function<FlexAttention> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& query, const at::Tensor& key,
                               const at::Tensor& value, FOVEA_FLEX_PARAMETERS,
                               bool want_max_scores) {
    at::AutoDispatchBelowADInplaceOrView below;
    auto [out, lse, max_scores] =
        forward_operator().call(query, key, value, FOVEA_FLEX_ARGUMENTS, want_max_scores);
    variable_list saved{query,
                        key,
                        value,
                        out,
                        lse,
                        or_undefined(block_mask),
                        or_undefined(sinks),
                        or_undefined(cu_seqlens_q),
                        or_undefined(cu_seqlens_kv),
                        or_undefined(page_table),
                        or_undefined(kv_lens)};
    saved.insert(saved.end(), score_captures.begin(), score_captures.end());
    saved.insert(saved.end(), weight_captures.begin(), weight_captures.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["score_mod"] = score_mod;
    ctx->saved_data["score_captures"] = static_cast<int64_t>(score_captures.size());
    ctx->saved_data["score_integers"] = score_integers;
    ctx->saved_data["score_floats"] = score_floats;
    ctx->saved_data["weight_mod"] = weight_mod;
    ctx->saved_data["weight_integers"] = weight_integers;
    ctx->saved_data["weight_floats"] = weight_floats;
    ctx->saved_data["causal"] = causal;
    if (scale.has_value()) ctx->saved_data["scale"] = *scale;
    ctx->mark_non_differentiable({max_scores});
    ctx->set_materialize_grads(false);
    return {out, lse, max_scores};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const auto scores = static_cast<std::size_t>(ctx->saved_data["score_captures"].toInt());
    const at::TensorList all(saved);
    const at::TensorList score_captures = all.slice(kCaptures, scores);
    const at::TensorList weight_captures = all.slice(kCaptures + scores);
    std::vector<int64_t> wanted;
    for (const std::size_t i : {kQuery, kKey, kValue, kSinks}) {
      wanted.push_back(wants_gradient(saved[i]));
    }
    for (const at::Tensor& tensor : score_captures) wanted.push_back(wants_gradient(tensor));
    for (const at::Tensor& tensor : weight_captures) wanted.push_back(wants_gradient(tensor));
    const at::Tensor dout = outputs[0].defined() ? outputs[0] : at::zeros_like(saved[kOut]);
    const auto integers = ctx->saved_data["score_integers"].toSymIntVector();
    const auto floats = ctx->saved_data["score_floats"].toDoubleVector();
    const auto weight_integers = ctx->saved_data["weight_integers"].toSymIntVector();
    const auto weight_floats = ctx->saved_data["weight_floats"].toDoubleVector();
    const auto scale = ctx->saved_data.find("scale");
    auto [dquery, dkey, dvalue, dsinks, dscore, dweight] = backward_operator().call(
        dout, if_defined(outputs[1]), saved[kQuery], saved[kKey], saved[kValue], saved[kOut],
        saved[kLse], ctx->saved_data["score_mod"].toStringRef(), score_captures, integers, floats,
        ctx->saved_data["weight_mod"].toStringRef(), weight_captures, weight_integers,
        weight_floats, if_defined(saved[kMask]), if_defined(saved[kSinks]),
        if_defined(saved[kCuSeqlensQ]), if_defined(saved[kCuSeqlensKv]),
        if_defined(saved[kPageTable]), if_defined(saved[kKvLens]),
        ctx->saved_data["causal"].toInt(),
        scale == ctx->saved_data.end() ? std::nullopt : std::optional(scale->second.toDouble()),
        wanted);
    const auto given = [&](const at::Tensor& gradient, std::size_t i) {
      return wanted[i] != 0 ? gradient : at::Tensor();
    };
    variable_list result{given(dquery, 0), given(dkey, 1), given(dvalue, 2), at::Tensor()};
    for (std::size_t i = 0; i < scores; ++i) result.push_back(given(dscore[i], 4 + i));
    result.resize(result.size() + kAfterScoreCaptures);
    for (std::size_t i = 0; i < weight_captures.size(); ++i) {
      result.push_back(given(dweight[i], 4 + scores + i));
    }
    result.resize(result.size() + 3);  // integers, floats, block_mask
    result.push_back(given(dsinks, 3));
    result.resize(result.size() + 7);  // cu_seqlens_q, _kv, page_table, kv_lens, causal, scale, max
    return result;
  }
};

}  // namespace

ForwardResult forward_autograd(const at::Tensor& query, const at::Tensor& key,
                               const at::Tensor& value, FOVEA_FLEX_PARAMETERS,
                               bool want_max_scores) {
  bool any = wants_gradient(query) || wants_gradient(key) || wants_gradient(value) ||
             wants_gradient(or_undefined(sinks));
  for (const at::Tensor& tensor : score_captures) any = any || wants_gradient(tensor);
  for (const at::Tensor& tensor : weight_captures) any = any || wants_gradient(tensor);
  if (!any || !at::GradMode::is_enabled()) {
    at::AutoDispatchBelowADInplaceOrView below;
    return forward_operator().call(query, key, value, FOVEA_FLEX_ARGUMENTS, want_max_scores);
  }
  const variable_list results =
      FlexAttention::apply(query, key, value, FOVEA_FLEX_ARGUMENTS, want_max_scores);
  return {results[0], results[1], results[2]};
}

std::tuple<at::Tensor, at::Tensor> decode_op(const at::Tensor& query, const at::Tensor& key,
                                             const at::Tensor& value, FOVEA_FLEX_PARAMETERS) {
  const auto [out, lse, none] =
      forward_operator().call(query, key, value, FOVEA_FLEX_ARGUMENTS, false);
  return {out, lse};
}

BackwardResult backward_autograd(FOVEA_BACKWARD_PARAMETERS, FOVEA_FLEX_PARAMETERS,
                                 at::IntArrayRef wanted) {
  BackwardResult result = [&] {
    at::AutoDispatchBelowADInplaceOrView below;
    return backward_operator().call(dout, dlse, query, key, value, out, lse, FOVEA_FLEX_ARGUMENTS,
                                    wanted);
  }();
  if (!at::GradMode::is_enabled()) return result;
  // create_graph=True: the first derivative is right, and whoever asks for the next must hear of it.
  // Whatever the gradients depend on leads to the refusal, by whichever way it is asked for.
  variable_list sources;
  const auto add = [&](const at::Tensor& tensor) {
    if (tensor.defined()) sources.push_back(tensor);
  };
  for (const at::Tensor& tensor : {dout, or_undefined(dlse), query, key, value}) add(tensor);
  for (const at::Tensor& tensor : score_captures) add(tensor);
  for (const at::Tensor& tensor : weight_captures) add(tensor);
  add(or_undefined(sinks));
  std::size_t next = 0;
  const auto refuse = [&](at::Tensor& tensor) {
    if (wanted[next++] == 0) return;
    auto node = std::make_shared<::torch::autograd::DelayedError>(
        "[flex_attention_backward] second derivatives: expected at most one, got two (fovea does "
        "not differentiate its backward pass)",
        1);
    variable_list inputs{tensor.detach()};
    inputs.insert(inputs.end(), sources.begin(), sources.end());
    tensor = (*node)(std::move(inputs))[0];
  };
  refuse(std::get<0>(result));
  refuse(std::get<1>(result));
  refuse(std::get<2>(result));
  refuse(std::get<3>(result));
  for (at::Tensor& tensor : std::get<4>(result)) refuse(tensor);
  for (at::Tensor& tensor : std::get<5>(result)) refuse(tensor);
  return result;
}

ForwardResult forward_autocast(const at::Tensor& query, const at::Tensor& key,
                               const at::Tensor& value, FOVEA_FLEX_PARAMETERS,
                               bool want_max_scores) {
  const auto device = query.device().type();
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(
      c10::DispatchKeySet{c10::DispatchKey::AutocastCPU, c10::DispatchKey::AutocastCUDA});
  const auto type = at::autocast::get_autocast_dtype(device);
  const auto cast = [&](const at::Tensor& tensor) {
    return at::autocast::cached_cast(type, tensor, device);
  };
  return forward_operator().call(cast(query), cast(key), cast(value), FOVEA_FLEX_ARGUMENTS,
                                 want_max_scores);
}

}  // namespace fovea::torch
