// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "property/cpu/joint_case.h"
#include "property/program/random_program.h"

// Derivatives of random mods on random tiles: what the tile machine makes of them, with everything
// hoisted, kept, fused and summed, is what the interpreter gives.
namespace fovea::cpu {
namespace {

using testing::JointCase;
using testing::JointTally;
using testing::JointTile;
using testing::NamedMachine;
using testing::TileCase;
using testing::TileShape;

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kTiles = 3000;

JointCase random_case(uint64_t seed) {
  test::Dice dice(seed ^ 0x10171);
  TileCase c;
  const auto program = [&](ModKind kind) {
    const int steps = 2 + static_cast<int>(dice.below(24));
    const bool tame = kind != ModKind::mask && dice.chance(70);
    auto made =
        test::random_program(seed, {.kind = kind, .steps = steps, .faults = false, .tame = tame});
    c.code += made.code;
    return made.program;
  };
  const bool weight = dice.chance(25);
  c.score = program(weight ? ModKind::weight : ModKind::score);
  if (!weight && dice.chance(60)) c.mask = program(ModKind::mask);
  random_tile(dice, c);
  return with_dout(dice, c);
}

TEST(JointMachineProperty, AgreesWithTheInterpreter) {
  JointTally tally;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kTiles; ++seed) {
    check_joint_case(random_case(seed), tally);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  // Without these the test could pass by deciding nothing.
  EXPECT_GT(tally.dscores.decided * 2, tally.dscores.elements);
  EXPECT_GT(tally.sums.decided * 2, tally.sums.elements);
  EXPECT_GT(tally.scores.fast * 2, tally.scores.tiles);
  RecordProperty("sums",
                 std::to_string(tally.sums.decided) + " of " + std::to_string(tally.sums.elements));
}

}  // namespace
}  // namespace fovea::cpu
