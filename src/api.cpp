// SPDX-License-Identifier: Apache-2.0
#include "api.h"

#include <fovea/attention.h>
#include "attention/check_elements.h"
#include "attention/explain.h"
#include "attention/reference.h"
#include "attention/workspace.h"
#include "core/config.h"
#include "core/fail.h"
#include "cpu/attention/cpu_backend.h"
#include "cpu/fma_peak.h"

/// The public functions: validate, choose, run.
namespace fovea {

namespace api {

// Explicit, because a static initialiser in a static library is dropped when nothing names its file.
const attention::BackendRegistry& registry() {
  static const auto all = [] {
    auto backends = std::make_unique<attention::BackendRegistry>();
    backends->add("cpu", cpu::make_cpu_backend());
    return backends;
  }();
  return *all;
}

Executor& executor_of(const FlexOptions& options) {
  return options.executor ? *options.executor : default_executor();
}

void run_forward(const char* where, const TensorView& query, const TensorView& key,
                 const TensorView& value, const TensorView& out, const FlexOptions& options) {
  const auto problem = attention::validate(where, query, key, value, out, options);
  const auto choice = attention::choose(where, registry(), problem, options.backend);
  Executor& executor = executor_of(options);
  if (core::check()) attention::check_elements(choice.problem, executor);
  const std::size_t bytes = choice.backend->workspace_bytes(*choice.plan, choice.problem, executor);
  const attention::ScratchMemory scratch(where, options.workspace, bytes);
  choice.backend->forward(*choice.plan, choice.problem, scratch.workspace(), executor);
}

std::size_t forward_bytes(const char* where, const TensorView& query, const TensorView& key,
                          const TensorView& value, const TensorView& out,
                          const FlexOptions& options) {
  const auto problem = attention::validate(where, query, key, value, out, options);
  const auto choice = attention::choose(where, registry(), problem, options.backend);
  return choice.backend->workspace_bytes(*choice.plan, choice.problem, executor_of(options));
}

}  // namespace api

using api::executor_of;
using api::registry;

void flex_attention(const TensorView& query, const TensorView& key, const TensorView& value,
                    const TensorView& out, const FlexOptions& options) {
  api::run_forward("flex_attention", query, key, value, out, options);
}

std::size_t workspace_bytes(const TensorView& query, const TensorView& key, const TensorView& value,
                            const TensorView& out, const FlexOptions& options) {
  return api::forward_bytes("workspace_bytes", query, key, value, out, options);
}

void prepare(const TensorView& query, const TensorView& key, const TensorView& value,
             const TensorView& out, const FlexOptions& options) {
  constexpr const char* kWhere = "prepare";
  const auto problem = attention::validate(kWhere, query, key, value, out, options);
  attention::choose(kWhere, registry(), problem, options.backend);
}

std::string explain(const TensorView& query, const TensorView& key, const TensorView& value,
                    const TensorView& out, const FlexOptions& options) {
  constexpr const char* kWhere = "explain";
  const auto problem = attention::validate(kWhere, query, key, value, out, options);
  const auto choice = attention::choose(kWhere, registry(), problem, options.backend);
  return attention::explain(problem, choice, registry(), executor_of(options));
}

void reference_attention(const TensorView& query, const TensorView& key, const TensorView& value,
                         const TensorView& out, const FlexOptions& options) {
  const auto problem = attention::validate("reference_attention", query, key, value, out, options);
  attention::reference(problem, executor_of(options));
}

double reference_row(const TensorView& query, const TensorView& key, const TensorView& value,
                     const FlexOptions& options, int64_t b, int64_t h, int64_t q,
                     std::span<double> out) {
  constexpr const char* kWhere = "reference_row";
  // Stands for the output in the checks; only the row is written.
  TensorView row;
  row.data = out.data();
  row.dtype = DType::f64;
  if (query.rank() == 4 && value.rank() == 4) {
    row.sizes = {query.size(0), query.size(1), query.size(2), value.size(3)};
    row.strides = contiguous_strides(row.sizes);
  }
  row.device = query.device;
  const auto problem = attention::validate(kWhere, query, key, value, row, options);
  const auto inside = [&](const char* rule, int64_t index, int64_t size) {
    if (index >= 0 && index < size) return;
    core::fail_argument(kWhere, rule, "0 to " + std::to_string(size - 1), std::to_string(index));
  };
  inside("b must be a batch index", b, problem.batch);
  inside("h must be a query head", h, problem.q_heads);
  inside("q must be a query position", q, problem.sequence(b).q_len);
  core::require(static_cast<int64_t>(out.size()) == problem.value_dim, kWhere,
                "out must have one entry a value dimension", problem.value_dim, out.size());
  return attention::reference_row(problem, b, h, q, out);
}

std::vector<BackendInfo> backends() {
  std::vector<BackendInfo> all;
  for (const auto& entry : registry().entries()) all.push_back(entry.item->info());
  return all;
}

double measure_fma_peak(int threads) { return cpu::measure_fma_peak(threads, cpu::isa_in_force()); }

}  // namespace fovea
