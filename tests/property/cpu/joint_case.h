// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "property/cpu/tile_case.h"

/// The derivative of a mod on a tile: dscore of each element, and what each contribution adds up to,
/// are what the float64 interpreter gives, within the rounding that f32 may do.
namespace fovea::cpu::testing {

struct JointCase {
  TileCase tile;            // the score_mod may be a weight_mod
  std::vector<float> dout;  // 0 where the mask is false
};

/// Gradients for a tile: some are 0.
JointCase with_dout(test::Dice& dice, const TileCase& tile);

struct JointTally {
  Tally scores, dscores, sums;
};

/// Runs it on every machine; fails the current test at the first wrong number.
void check_joint_case(const JointCase& c, JointTally& tally);

}  // namespace fovea::cpu::testing
