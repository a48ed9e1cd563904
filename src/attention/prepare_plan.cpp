// SPDX-License-Identifier: Apache-2.0
#include "attention/plan_cache.h"

namespace fovea::attention {

std::shared_ptr<const PreparedPlan> prepare_plan(const Backend& backend, const Problem& problem) {
  auto prepared = std::make_shared<PreparedPlan>();
  Problem simplified = problem;
  if (problem.score_mod) {
    prepared->score = program::simplify_graph(problem.score_mod.graph());
    simplified.score_mod = prepared->score.bind(problem.score_mod);
  }
  if (problem.mask_mod) {
    prepared->mask = program::simplify_graph(problem.mask_mod.graph());
    simplified.mask_mod = prepared->mask.bind(problem.mask_mod);
  }
  prepared->plan = backend.prepare(simplified);
  return prepared;
}

}  // namespace fovea::attention
