// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fovea/attention_backward.h>
#include "api.h"
#include "attention/check_elements.h"
#include "attention/element_access.h"
#include "attention/explain.h"
#include "attention/reference.h"
#include "attention/validate_backward.h"
#include "attention/workspace.h"
#include "core/config.h"

/// The public functions of the backward pass: validate, choose, run.
namespace fovea {
namespace {

using api::executor_of;
using api::registry;

std::vector<TensorView> wanted(const FlexGradients& g) {
  std::vector<TensorView> all{g.query, g.key, g.value};
  if (g.sinks) all.push_back(*g.sinks);
  all.insert(all.end(), g.score_captures.begin(), g.score_captures.end());
  all.insert(all.end(), g.weight_captures.begin(), g.weight_captures.end());
  std::erase_if(all, [](const TensorView& view) { return !view; });
  return all;
}

}  // namespace

void api::run_backward(const char* where, const TensorView& query, const TensorView& key,
                       const TensorView& value, const BackwardInputs& saved,
                       const FlexGradients& gradients, const FlexOptions& options) {
  const auto problem =
      attention::validate_backward(where, query, key, value, saved, gradients, options);
  const auto choice = attention::choose_backward(where, registry(), problem, options.backend);
  const std::vector<TensorView> all = wanted(gradients);
  if (all.empty()) return;
  if (query.numel() == 0) {  // no rows: what other inputs share with them is a sum of nothing
    for (const TensorView& gradient : all) attention::store_zeros(gradient);
    return;
  }
  Executor& executor = executor_of(options);
  if (core::check()) attention::check_elements(choice.problem.forward, executor);
  const std::size_t bytes =
      choice.backend->backward_workspace_bytes(*choice.plan, choice.problem, executor);
  const attention::ScratchMemory scratch(where, options.workspace, bytes);
  choice.backend->backward(*choice.plan, choice.problem, scratch.workspace(), executor);
  for (const TensorView& gradient : choice.dropped) attention::store_zeros(gradient);
}

std::size_t api::backward_bytes(const char* where, const TensorView& query, const TensorView& key,
                                const TensorView& value, const BackwardInputs& saved,
                                const FlexGradients& gradients, const FlexOptions& options) {
  const auto problem =
      attention::validate_backward(where, query, key, value, saved, gradients, options);
  const auto choice = attention::choose_backward(where, registry(), problem, options.backend);
  return choice.backend->backward_workspace_bytes(*choice.plan, choice.problem,
                                                  executor_of(options));
}

void flex_attention_backward(const TensorView& query, const TensorView& key,
                             const TensorView& value, const BackwardInputs& saved,
                             const FlexGradients& gradients, const FlexOptions& options) {
  api::run_backward("flex_attention_backward", query, key, value, saved, gradients, options);
}

std::size_t backward_workspace_bytes(const TensorView& query, const TensorView& key,
                                     const TensorView& value, const BackwardInputs& saved,
                                     const FlexGradients& gradients, const FlexOptions& options) {
  return api::backward_bytes("backward_workspace_bytes", query, key, value, saved, gradients,
                             options);
}

std::string explain_backward(const TensorView& query, const TensorView& key,
                             const TensorView& value, const BackwardInputs& saved,
                             const FlexGradients& gradients, const FlexOptions& options) {
  constexpr const char* kWhere = "explain_backward";
  const auto problem =
      attention::validate_backward(kWhere, query, key, value, saved, gradients, options);
  const auto choice = attention::choose_backward(kWhere, registry(), problem, options.backend);
  return attention::explain(problem, choice, registry(), executor_of(options));
}

void reference_backward(const TensorView& query, const TensorView& key, const TensorView& value,
                        const BackwardInputs& saved, const FlexGradients& gradients,
                        const FlexOptions& options) {
  attention::reference_backward(attention::validate_backward("reference_backward", query, key,
                                                             value, saved, gradients, options,
                                                             attention::Saved::gradients));
}

}  // namespace fovea
