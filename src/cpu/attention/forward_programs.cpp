// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/forward_programs.h"

#include "program/builder.h"
#include "program/fold.h"

namespace fovea::cpu {
namespace {

using program::Op;

// In the kernels a weight of 0 is one that the row may not see, or nothing beside the others. Parameters and
// captures keep their slots: the walk from the new root meets nothing else before them.
Program where_not_zero(const Program& weight_mod) {
  program::Builder builder(ModKind::weight);
  const program::NodeId weight = builder.input(program::Input::score);
  const program::NodeId zero = builder.constant(program::make_float(0));
  const program::NodeId is_zero = builder.make(Op::eq, {weight, zero});
  return builder.finish(builder.make(Op::where, {is_zero, zero, builder.import(weight_mod)}));
}

}  // namespace

ForwardPrograms::ForwardPrograms(const attention::Problem& problem)
    : scores(lower(problem.score_mod, problem.mask_mod)),
      two_passes(problem.needs_normalized_weights) {
  if (problem.weight_mod) weights = lower(where_not_zero(problem.weight_mod), {});
}

std::string ForwardPrograms::describe() const {
  std::string text = scores.empty() ? "no program\n" : scores.describe();
  if (weights.empty()) return text;
  text += two_passes
              ? "weight_mod, on normalised weights: the keys are walked twice, first for lse\n"
              : "weight_mod, linear in the weight: before they are normalised, in one pass\n";
  return text + weights.describe();
}

ForwardBindings bind(const ForwardPrograms& programs, const attention::Problem& problem) {
  ForwardBindings bindings;
  if (!programs.scores.empty()) {
    bindings.scores =
        bind(programs.scores, problem.score_mod, problem.mask_mod, problem.needs_64_bits);
  }
  if (!programs.weights.empty()) {
    // The 64-bit path interprets the program itself.
    const Program mod =
        problem.needs_64_bits ? where_not_zero(problem.weight_mod) : problem.weight_mod;
    bindings.weights = bind(programs.weights, mod, {}, problem.needs_64_bits);
  }
  return bindings;
}

}  // namespace fovea::cpu
