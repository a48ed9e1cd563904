// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward_programs.h"

namespace fovea::cpu {
namespace {

using analysis::IndexClass;

// How a contribution reaches the gradient: CapturedGradients chooses.
const char* way_of(const TileContribution& contribution) {
  switch (contribution.classes.index) {
    case IndexClass::scalar: return "summed over all queries and keys, then added";
    case IndexClass::row: return "summed along rows, then scattered";
    case IndexClass::column: return "summed along columns, then scattered";
    case IndexClass::diagonal: return "summed along diagonals, then scattered";
    case IndexClass::tile:
      return "added in place; what batches or heads share, by one after the other, tile by tile";
    case IndexClass::gathered:
      return "added to a copy for each task, in the order of tasks; to a tensor larger than the "
             "tile, in "
             "place, by one task after the other";
  }
  return "?";
}

void describe_gradients(std::string& text, const char* mod, const TileProgram& program) {
  for (const TileContribution& contribution : program.contributions()) {
    if (contribution.of_param) continue;
    text += "gradient of t" + std::to_string(contribution.slot) + " of " + mod + ": " +
            analysis::describe(contribution.classes) + "; " + way_of(contribution) + "\n";
  }
}

}  // namespace

BackwardPrograms::BackwardPrograms(const attention::BackwardProblem& problem)
    : two_passes(problem.forward.needs_normalized_weights) {
  const attention::Problem& p = problem.forward;
  scores = p.score_mod ? lower_joint(p.score_mod, *problem.score_joint, p.mask_mod)
                       : lower({}, p.mask_mod);
  if (p.weight_mod) weights = lower_joint(p.weight_mod, *problem.weight_joint, {});
}

std::string BackwardPrograms::describe() const {
  std::string text = scores.empty() ? "no program\n" : scores.describe();
  if (!weights.empty()) {
    text += two_passes
                ? "weight_mod: the keys are walked twice, first for what the softmax hands back\n"
                : "weight_mod, linear in the weight: in one pass\n";
    text += weights.describe();
  }
  describe_gradients(text, "score_mod", scores);
  describe_gradients(text, "weight_mod", weights);
  return text;
}

BackwardBindings bind(const BackwardPrograms& programs, const attention::BackwardProblem& problem) {
  const attention::Problem& p = problem.forward;
  BackwardBindings bindings;
  if (!programs.scores.empty()) {
    bindings.scores = bind(programs.scores, p.score_mod, p.mask_mod, p.needs_64_bits);
  }
  if (!programs.weights.empty()) {
    bindings.weights = bind(programs.weights, p.weight_mod, {}, p.needs_64_bits);
  }
  return bindings;
}

}  // namespace fovea::cpu
