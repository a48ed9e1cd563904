// SPDX-License-Identifier: Apache-2.0
#include "property/cpu/tile_case.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "analysis/bounds.h"
#include "program/interpret.h"
#include "property/cpu/rounding_model.h"

namespace fovea::cpu::testing {
namespace {

struct Expected {
  bool open = false;
  double value = 0, error = 0;
};

Expected expected_at(const TileCase& c, const program::Inputs& at) {
  if (c.mask) {
    program::Inputs without = at;
    without.score = 0;
    const Approximation allowed = approximate(c.mask, without);
    if (allowed.open) return {.open = true};
    EXPECT_EQ(allowed.integer, program::interpret(c.mask, without).i) << "the test's own model";
    if (allowed.integer == 0) return {.value = -std::numeric_limits<double>::infinity()};
  }
  if (!c.score) return {.value = at.score};
  const Approximation score = approximate(c.score, at);
  if (!score.open) {
    const double exact = program::interpret(c.score, at).f;
    EXPECT_TRUE(exact == score.value || std::isnan(exact) ||
                std::abs(exact - score.value) <= 1e-9 * std::abs(exact) + 1e-30)
        << "the test's own model: " << exact << " and " << score.value;
  }
  return {.open = score.open, .value = score.value, .error = score.error};
}

}  // namespace

bool needs_64_bits(const Program& program, const TileShape& shape) {
  if (!program) return false;
  const analysis::Box box{.b0 = shape.b,
                          .b1 = shape.b,
                          .h0 = shape.h,
                          .h1 = shape.h,
                          .q0 = 0,
                          .q1 = shape.q0 + shape.rows - 1,
                          .kv0 = 0,
                          .kv1 = shape.kv0 + shape.cols - 1};
  return analysis::check_ranges(program, box, "test").needs_64_bits;
}

void check_elements(const TileCase& c, const std::vector<float>& got, Tally& tally) {
  for (std::size_t k = 0; k < got.size(); ++k) {
    const auto i = static_cast<int64_t>(k) / c.shape.cols,
               j = static_cast<int64_t>(k) % c.shape.cols;
    const program::Inputs at{.score = static_cast<double>(c.scores[k]),
                             .b = c.shape.b,
                             .h = c.shape.h,
                             .q = c.shape.q0 + i,
                             .kv = c.shape.kv0 + j};
    const Expected want = expected_at(c, at);
    ++tally.elements;
    if (want.open) continue;
    ++tally.decided;
    const auto value = static_cast<double>(got[k]);
    const bool same = value == want.value || (std::isnan(value) && std::isnan(want.value));
    ASSERT_TRUE(same || std::abs(value - want.value) <= want.error)
        << "row " << i << ", column " << j << ", score " << at.score << ": expected " << want.value
        << " within " << want.error << ", got " << value;
  }
}

void random_tile(test::Dice& dice, TileCase& c) {
  c.shape = {.b = dice.below(3),
             .h = dice.below(5),
             .q0 = dice.below(90),
             .rows = 1 + dice.below(9),
             .kv0 = dice.below(90),
             .cols = 1 + dice.below(dice.chance(10) ? 300 : 40),
             .extra_rows = dice.below(3),
             .extra_cols = dice.below(20),
             .padding = dice.below(5)};
  c.scores.clear();
  for (int64_t k = 0; k < c.shape.rows * c.shape.cols; ++k) {
    c.scores.push_back(static_cast<float>(dice.normal() * 4));
  }
}

void check_case(const TileCase& c, Tally& tally) {
  const TileProgram lowered = lower(c.score, c.mask);
  const bool wide = needs_64_bits(c.score, c.shape) || needs_64_bits(c.mask, c.shape);
  ++tally.tiles;
  tally.fast += wide ? 0 : 1;
  for (const NamedMachine& machine : machines()) {
    const auto got =
        run_tile(machine, lowered, c.score, c.mask, c.shape, c.scores, {.needs_64_bits = wide});
    check_elements(c, got, tally);
    if (::testing::Test::HasFailure()) {
      FAIL() << machine.name << ", tile " << c.shape.rows << " x " << c.shape.cols << " at "
             << c.shape.q0 << ", " << c.shape.kv0 << "\n"
             << c.code << lowered.describe();
    }
  }
}

}  // namespace fovea::cpu::testing
