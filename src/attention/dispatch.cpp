// SPDX-License-Identifier: Apache-2.0
#include "attention/dispatch.h"

#include <string_view>

#include <fovea/error.h>
#include "attention/plan_cache.h"
#include "core/fail.h"

namespace fovea::attention {
namespace {

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

Support support(const Backend& backend, const Problem& problem) { return backend.can_run(problem); }
Support support(const Backend& backend, const BackwardProblem& problem) {
  return backend.can_run_backward(problem);
}

template <class P>
BackendRegistry::Entry find_backend(const char* where, const BackendRegistry& backends,
                                    const P& problem, const std::string& name) {
  std::vector<std::string> reasons;
  std::vector<std::string> names;
  for (const auto& entry : backends.entries()) {
    names.push_back(entry.name);
    if (!name.empty() && entry.name != name) continue;
    const Support answer = support(*entry.item, problem);
    if (answer.ok()) return entry;
    for (const std::string& reason : answer.reasons) reasons.push_back(entry.name + ": " + reason);
  }
  if (reasons.empty() && !name.empty()) {
    core::fail_argument(where, "backend must be one of backends()", join(names), "'" + name + "'");
  }
  throw Unsupported(std::string("[") + where +
                        "] no backend can run this problem: expected one of " + join(names) +
                        ", got " + join(reasons),
                    reasons);
}

PlanCache& cache() {
  static PlanCache plans;
  return plans;
}

void append(std::string& key, const Program& program) {
  const Hash128 hash = program ? program.structure_hash() : Hash128{};
  key.append(reinterpret_cast<const char*>(&hash), sizeof hash);
}

void append_programs(std::string& key, const Problem& problem) {
  append(key, problem.score_mod);
  append(key, problem.weight_mod);
  append(key, problem.mask_mod);
}

// Which gradients are wanted: what is derived, and computed, depends on it.
void append_wanted(std::string& key, const BackwardProblem& problem) {
  const auto mark = [&](bool wanted) { key += wanted ? '+' : '-'; };
  for (const TensorView* view : {&problem.dquery, &problem.dkey, &problem.dvalue}) {
    mark(static_cast<bool>(*view));
  }
  mark(problem.dsinks.has_value());
  mark(problem.dlse.has_value());
  for (const auto* captures : {&problem.score_captures, &problem.weight_captures}) {
    key += ' ';
    for (const TensorView& view : *captures) mark(static_cast<bool>(view));
  }
  key += ' ';
}

template <class P>
std::shared_ptr<const PreparedPlan> find_plan(const std::string& key, const Backend& backend,
                                              const P& problem) {
  if (auto found = cache().find(key)) return found;
  return cache().insert(key, prepare_plan(backend, problem));
}

template <class P>
std::vector<Refusal> all_refusals(const BackendRegistry& backends, const P& problem) {
  std::vector<Refusal> all;
  for (const auto& entry : backends.entries()) {
    for (const std::string& reason : support(*entry.item, problem).reasons) {
      all.push_back({entry.name, reason});
    }
  }
  return all;
}

}  // namespace

Choice choose(const char* where, const BackendRegistry& backends, const Problem& problem,
              const std::string& name) {
  const auto entry = find_backend(where, backends, problem, name);
  std::string key = entry.name;
  append_programs(key, problem);
  entry.item->plan_key(problem, key);
  const auto prepared = find_plan(key, *entry.item, problem);
  Choice choice{entry.item, prepared->plan, problem};
  prepared->programs.bind(choice.problem);
  return choice;
}

BackwardChoice choose_backward(const char* where, const BackendRegistry& backends,
                               const BackwardProblem& problem, const std::string& name) {
  const auto entry = find_backend(where, backends, problem, name);
  std::string key = entry.name + " backward ";
  append_programs(key, problem.forward);
  append_wanted(key, problem);
  entry.item->backward_plan_key(problem, key);
  const auto prepared = find_plan(key, *entry.item, problem);
  BackwardChoice choice{entry.item, prepared->plan, {}, {}};
  choice.problem = prepared->bind(problem, choice.dropped);
  return choice;
}

std::vector<Refusal> refusals(const BackendRegistry& backends, const Problem& problem) {
  return all_refusals(backends, problem);
}
std::vector<Refusal> refusals(const BackendRegistry& backends, const BackwardProblem& problem) {
  return all_refusals(backends, problem);
}

std::size_t cached_plans() { return cache().size(); }

}  // namespace fovea::attention
