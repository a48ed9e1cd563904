// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "attention/problem.h"
#include "cpu/attention/tile_program.h"

/// The programs of a forward call as the kernels run them.
namespace fovea::cpu {

/// Lowered: part of a plan.
struct ForwardPrograms {
  ForwardPrograms() = default;
  explicit ForwardPrograms(const attention::Problem& problem);
  std::string describe() const;

  TileProgram scores;       // score_mod and mask_mod
  TileProgram weights;      // weight_mod where the weight is not 0; else 0
  bool two_passes = false;  // Problem::needs_normalized_weights
};

/// Bound to one call.
struct ForwardBindings {
  TileBinding scores, weights;
};
ForwardBindings bind(const ForwardPrograms& programs, const attention::Problem& problem);

}  // namespace fovea::cpu
