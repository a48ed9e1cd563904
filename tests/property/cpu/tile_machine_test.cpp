// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "property/cpu/tile_case.h"
#include "property/program/random_program.h"

// Random mods on random tiles: what the tile machine makes of a tile with everything hoisted and
// fused is what the interpreter gives.
namespace fovea::cpu {
namespace {

using testing::NamedMachine;
using testing::TileCase;
using testing::TileShape;

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kTiles = 10000;

TileCase random_case(uint64_t seed) {
  test::Dice dice(seed ^ 0x7115eed);
  TileCase c;
  const auto program = [&](ModKind kind) {
    const int steps = 2 + static_cast<int>(dice.below(24));
    auto made = test::random_program(seed, {.kind = kind, .steps = steps, .faults = false});
    c.code += made.code;
    return made.program;
  };
  const int64_t which = dice.below(4);
  if (which != 0) c.score = program(ModKind::score);
  if (which != 1) c.mask = program(ModKind::mask);
  random_tile(dice, c);
  return c;
}

TEST(TileMachineProperty, AgreesWithTheInterpreter) {
  testing::Tally tally;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kTiles; ++seed) {
    check_case(random_case(seed), tally);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  // Without these the test could pass by deciding nothing.
  EXPECT_GT(tally.decided * 2, tally.elements) << tally.decided << " of " << tally.elements;
  EXPECT_GT(tally.fast * 2, tally.tiles) << tally.fast << " of " << tally.tiles;
}

// The same mods in a smaller tile: a result must not depend on how the plane is cut.
TEST(TileMachineProperty, TilingChangesNoBit) {
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + 600; ++seed) {
    const TileCase c = random_case(seed);
    const TileProgram lowered = lower(c.score, c.mask);
    for (const NamedMachine& machine : testing::machines()) {
      const auto run = [&](const TileShape& shape, const std::vector<float>& scores) {
        return run_tile(machine, lowered, c.score, c.mask, shape, scores);
      };
      const auto want = second_half(c.shape, run(c.shape, c.scores));
      const auto got = run(second_half(c.shape), second_half(c.shape, c.scores));
      for (std::size_t k = 0; k < got.size(); ++k) {
        ASSERT_TRUE(got[k] == want[k] || (std::isnan(got[k]) && std::isnan(want[k])))
            << "seed " << seed << ", " << machine.name << "\n"
            << c.code << lowered.describe();
      }
    }
  }
}

}  // namespace
}  // namespace fovea::cpu
