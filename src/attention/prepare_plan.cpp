// SPDX-License-Identifier: Apache-2.0
#include "attention/blame.h"
#include "attention/plan_cache.h"

namespace fovea::attention {
namespace {

using program::JointProgram;
using program::Simplified;

Simplified simplified(const Program& program) {
  return program ? program::simplify_graph(program.graph()) : Simplified{};
}

// Gradients by slot of the simplified program, from those by slot of the original. Those that are left are
// the ones that simplification dropped.
std::vector<TensorView> take_slots(const Simplified& mod, std::vector<TensorView>& originals) {
  std::vector<TensorView> gradients;
  for (const int32_t original : mod.captures) {
    TensorView& gradient = gradients.emplace_back();
    const auto slot = static_cast<std::size_t>(original);
    if (slot < originals.size()) std::swap(gradient, originals[slot]);
  }
  return gradients;
}

std::shared_ptr<const JointProgram> derived(const char* where, const char* name,
                                            const Simplified& mod,
                                            const std::vector<TensorView>& gradients) {
  if (!mod.graph) return nullptr;
  program::Wanted wanted;
  for (std::size_t slot = 0; slot < gradients.size(); ++slot) {
    if (gradients[slot]) wanted.captures.push_back(static_cast<int32_t>(slot));
  }
  return blame(where, name, [&] {
    return std::make_shared<const JointProgram>(program::derive(*mod.graph, wanted));
  });
}

}  // namespace

PreparedPrograms::PreparedPrograms(const Problem& problem)
    : score(simplified(problem.score_mod)),
      weight(simplified(problem.weight_mod)),
      mask(simplified(problem.mask_mod)) {}

void PreparedPrograms::bind(Problem& problem) const {
  if (score.graph) problem.score_mod = score.bind(problem.score_mod);
  if (weight.graph) problem.weight_mod = weight.bind(problem.weight_mod);
  if (mask.graph) problem.mask_mod = mask.bind(problem.mask_mod);
}

std::shared_ptr<const PreparedPlan> prepare_plan(const Backend& backend, const Problem& problem) {
  auto prepared = std::make_shared<PreparedPlan>(problem);
  Problem simplified = problem;
  prepared->programs.bind(simplified);
  prepared->plan = backend.prepare(simplified);
  return prepared;
}

std::shared_ptr<const PreparedPlan> prepare_plan(const Backend& backend,
                                                 const BackwardProblem& problem) {
  auto prepared = std::make_shared<PreparedPlan>(problem.forward);
  std::vector<TensorView> dropped;
  BackwardProblem simplified = prepared->bind(problem, dropped);
  const PreparedPrograms& programs = prepared->programs;
  const char* where = problem.forward.where;
  simplified.score_joint = prepared->score_joint =
      derived(where, "score_mod", programs.score, simplified.score_captures);
  simplified.weight_joint = prepared->weight_joint =
      derived(where, "weight_mod", programs.weight, simplified.weight_captures);
  prepared->plan = backend.prepare_backward(simplified);
  return prepared;
}

BackwardProblem PreparedPlan::bind(const BackwardProblem& problem,
                                   std::vector<TensorView>& dropped) const {
  BackwardProblem bound = problem;
  programs.bind(bound.forward);
  const auto take = [&](const Simplified& mod, std::vector<TensorView>& gradients) {
    std::vector<TensorView> left = gradients;
    gradients = take_slots(mod, left);
    for (const TensorView& gradient : left) {
      if (gradient) dropped.push_back(gradient);
    }
  };
  take(programs.score, bound.score_captures);
  take(programs.weight, bound.weight_captures);
  bound.score_joint = score_joint;
  bound.weight_joint = weight_joint;
  return bound;
}

}  // namespace fovea::attention
