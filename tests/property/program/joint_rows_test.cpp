// SPDX-License-Identifier: Apache-2.0
#include "program/joint_rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "property/program/random_program.h"

// Joint programs of random mods, a row at a time, give the numbers that they give an element at a
// time, and the same errors.
namespace fovea {
namespace {

using program::Inputs;
using program::JointProgram;
using program::JointRows;
using program::JointState;

constexpr uint64_t kPrograms = 1500;

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

void expect_same_element(const JointProgram& joint, const JointState& state, const JointRows& rows,
                         int64_t i) {
  const auto at = static_cast<std::size_t>(i);
  ASSERT_TRUE(same(rows.dscore()[at], state.value(joint.dscore).f));
  for (const auto& c : joint.captures) {
    ASSERT_EQ(rows.holds(c, i), state.holds(c));
    ASSERT_TRUE(same(rows.value(c)[at], state.value(c.value).f));
    if (!state.holds(c)) continue;
    for (std::size_t d = 0; d < c.index.size(); ++d) {
      ASSERT_EQ(rows.index(c, d, i), state.value(c.index[d]).i);
      if (!rows.has_one_index(c)) continue;
      ASSERT_EQ(rows.index(c, d, i), rows.index(c, d, 0));
    }
  }
}

struct Counts {
  int64_t elements = 0, faults = 0;
};

void check_rows(const Program& program, test::Dice& dice, Counts& counts) {
  const JointProgram joint = derive(program.graph(), program::all_captures(program.graph()));
  JointRows rows(joint, program);
  JointState state(joint, program);
  for (int row = 0; row < 3; ++row) {
    const Inputs first{
        .b = dice.below(3), .h = dice.below(4), .q = dice.below(96), .kv = dice.below(40)};
    const int64_t count = row == 2 ? 40 : 1 + dice.below(56);
    std::vector<double> score, dout;
    std::vector<uint8_t> active;  // where an element by itself has no error
    std::vector<double> results;
    for (int64_t i = 0; i < count; ++i) {
      Inputs at = first;
      at.kv += i;
      at.score = score.emplace_back(dice.normal() * 2);
      at.dout = dout.emplace_back(dice.normal());
      results.push_back(0);
      try {
        results.back() = state.run(at);
        active.push_back(1);
      } catch (const InvalidArgument&) {
        active.push_back(0);
        ++counts.faults;
      }
    }
    const auto run = [&](const uint8_t* only) {
      rows.run(first.b, first.h, first.q, first.kv, score, dout, only);
    };
    const bool any_fault = std::find(active.begin(), active.end(), 0) != active.end();
    if (any_fault) {
      ASSERT_THROW(run(nullptr), InvalidArgument);
    }
    run(any_fault ? active.data() : nullptr);
    for (int64_t i = 0; i < count; ++i) {
      if (active[static_cast<std::size_t>(i)] == 0) continue;
      Inputs at = first;
      at.kv += i;
      at.score = score[static_cast<std::size_t>(i)];
      at.dout = dout[static_cast<std::size_t>(i)];
      state.run(at);
      ASSERT_TRUE(
          same(rows.result()[static_cast<std::size_t>(i)], results[static_cast<std::size_t>(i)]));
      expect_same_element(joint, state, rows, i);
      if (testing::Test::HasFailure()) return;
      ++counts.elements;
    }
  }
}

TEST(JointRows, EqualJointStates) {
  Counts counts;
  for (uint64_t seed = 1; seed <= kPrograms; ++seed) {
    test::RandomProgramOptions options;
    options.kind = seed % 4 == 0 ? ModKind::weight : ModKind::score;
    options.steps = 1 + static_cast<int>(seed % 24);
    options.faults = seed % 3 == 0;
    const test::RandomProgram random = test::random_program(seed, options);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + random.code);
    test::Dice dice(seed ^ 0x10e5);
    check_rows(random.program, dice, counts);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(counts.elements, 40 * static_cast<int64_t>(kPrograms));
  EXPECT_GT(counts.faults, 300);
}

TEST(JointRows, MoreElementsThanItTakesAreAnError) {
  const Program mod = parse_program("score * 2");
  const JointProgram joint = derive(mod.graph(), {});
  JointRows rows(joint, mod);
  const std::vector<double> many(JointRows::kMost + 1);
  EXPECT_THROW(rows.run(0, 0, 0, 0, many, many), InternalError);
}

}  // namespace
}  // namespace fovea
