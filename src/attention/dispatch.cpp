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

BackendRegistry::Entry find_backend(const char* where, const BackendRegistry& backends,
                                    const Problem& problem, const std::string& name) {
  std::vector<std::string> reasons;
  std::vector<std::string> names;
  for (const auto& entry : backends.entries()) {
    names.push_back(entry.name);
    if (!name.empty() && entry.name != name) continue;
    const Support support = entry.item->can_run(problem);
    if (support.ok()) return entry;
    for (const std::string& reason : support.reasons) reasons.push_back(entry.name + ": " + reason);
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

}  // namespace

Choice choose(const char* where, const BackendRegistry& backends, const Problem& problem,
              const std::string& name) {
  Choice choice;
  const auto entry = find_backend(where, backends, problem, name);
  choice.backend = entry.item;
  std::string key = entry.name;
  append(key, problem.score_mod);
  append(key, problem.mask_mod);
  choice.backend->plan_key(problem, key);

  std::shared_ptr<const PreparedPlan> prepared = cache().find(key);
  if (!prepared) prepared = cache().insert(key, prepare_plan(*choice.backend, problem));
  choice.problem = problem;
  if (problem.score_mod) choice.problem.score_mod = prepared->score.bind(problem.score_mod);
  if (problem.mask_mod) choice.problem.mask_mod = prepared->mask.bind(problem.mask_mod);
  choice.plan = prepared->plan;
  return choice;
}

std::vector<Refusal> refusals(const BackendRegistry& backends, const Problem& problem) {
  std::vector<Refusal> all;
  for (const auto& entry : backends.entries()) {
    for (const std::string& reason : entry.item->can_run(problem).reasons) {
      all.push_back({entry.name, reason});
    }
  }
  return all;
}

std::size_t cached_plans() { return cache().size(); }

}  // namespace fovea::attention
