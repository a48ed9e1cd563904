// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "attention/backward_problem.h"
#include "cpu/attention/tile_program.h"

/// The programs of a backward call as the kernels run them.
namespace fovea::cpu {

/// Lowered: part of a plan.
struct BackwardPrograms {
  BackwardPrograms() = default;
  explicit BackwardPrograms(const attention::BackwardProblem& problem);
  std::string describe() const;

  TileProgram scores;       // score_mod with its derivative, and mask_mod
  TileProgram weights;      // weight_mod with its derivative
  bool two_passes = false;  // Problem::needs_normalized_weights
};

/// Bound to one call.
struct BackwardBindings {
  TileBinding scores, weights;
};
BackwardBindings bind(const BackwardPrograms& programs, const attention::BackwardProblem& problem);

}  // namespace fovea::cpu
