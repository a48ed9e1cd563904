// SPDX-License-Identifier: Apache-2.0
#include "property/program/random_program.h"

#include <optional>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "program/fold.h"
#include "program/graph.h"
#include "program/interpret.h"
#include "program/simplify.h"

namespace fovea {
namespace {

using program::Inputs;
using program::interpret;

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kPrograms = 10000;
constexpr int kSamples = 24;

// What running a program for one element gives: a number or an error.
struct Outcome {
  std::optional<Literal> value;
  std::string error;
};

Outcome outcome_of(const Program& program, const Inputs& inputs) {
  try {
    return {interpret(program, inputs), ""};
  } catch (const InvalidArgument& error) {
    return {std::nullopt, error.what()};
  }
}

std::string to_text(const Outcome& outcome) {
  if (!outcome.value) return outcome.error;
  const Literal& v = *outcome.value;
  return v.type == ScalarType::f32 ? std::to_string(v.f) : std::to_string(v.i);
}

bool is_same(const Outcome& a, const Outcome& b) {
  if (a.value.has_value() != b.value.has_value()) return false;
  return a.value ? program::is_same(*a.value, *b.value) : a.error == b.error;
}

double random_score(test::Dice& dice) {
  static constexpr std::array<double, 6> kSpecial = {0.0, -0.0, HUGE_VAL, -HUGE_VAL, NAN, 1e30};
  return dice.chance(20) ? dice.pick(kSpecial) : dice.normal() * 4;
}

Inputs random_inputs(test::Dice& dice) {
  Inputs inputs;
  inputs.score = random_score(dice);
  inputs.b = dice.below(3);
  inputs.h = dice.below(5);
  inputs.q = dice.below(dice.chance(10) ? 1 << 20 : 96);
  inputs.kv = dice.below(dice.chance(10) ? 1 << 20 : 96);
  return inputs;
}

// The programs of a test, half of them masks, with what to print when one fails.
template <class F>
void for_each_program(F&& check) {
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kPrograms; ++seed) {
    test::RandomProgramOptions options;
    options.kind = seed % 2 == 0 ? ModKind::mask : seed % 5 == 0 ? ModKind::weight : ModKind::score;
    options.steps = 1 + static_cast<int>(seed % 60);
    options.faults = seed % 3 != 0;
    const test::RandomProgram random = test::random_program(seed, options);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + random.code + random.program.to_string());
    test::Dice dice(seed ^ 0x5eed);
    check(random.program, dice);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(RandomProgram, ParseIsTheInverseOfPrint) {
  for_each_program([](const Program& program, test::Dice& dice) {
    const Program again = parse_program(program.to_string(), program.captures());
    ASSERT_EQ(again.structure(), program.structure());
    ASSERT_EQ(again.structure_hash(), program.structure_hash());
    ASSERT_EQ(again.to_string(), program.to_string());
    for (std::size_t i = 0; i < program.params().size(); ++i) {
      ASSERT_TRUE(program::is_same(again.params()[i], program.params()[i]));
    }
    for (int i = 0; i < kSamples; ++i) {
      const Inputs inputs = random_inputs(dice);
      const Outcome expected = outcome_of(program, inputs);
      const Outcome got = outcome_of(again, inputs);
      ASSERT_TRUE(is_same(expected, got)) << to_text(expected) << " became " << to_text(got);
    }
    const Program unbound = parse_program(program.structure());
    ASSERT_EQ(unbound.structure(), program.structure());
  });
}

TEST(RandomProgram, SimplifyNeverChangesABit) {
  int64_t before = 0, after = 0;
  for_each_program([&](const Program& program, test::Dice& dice) {
    const Program simple = simplify(program);
    before += program.graph().size();
    after += simple.graph().size();
    for (int i = 0; i < kSamples; ++i) {
      const Inputs inputs = random_inputs(dice);
      const Outcome expected = outcome_of(program, inputs);
      if (!expected.value) continue;  // an error may be simplified away
      const Outcome got = outcome_of(simple, inputs);
      ASSERT_TRUE(is_same(expected, got)) << to_text(expected) << " became " << to_text(got) << "\n"
                                          << simple.to_string();
    }
    ASSERT_EQ(simplify(simple).to_string(), simple.to_string());
    ASSERT_EQ(parse_program(simple.to_string(), simple.captures()).to_string(), simple.to_string());
  });
  EXPECT_LT(after, before);
}

TEST(RandomProgram, SimplifyLooksAtTheStructureAlone) {
  for_each_program([](const Program& program, test::Dice& dice) {
    const program::Simplified kept = program::simplify_graph(program.graph());
    std::vector<Literal> params(program.params().begin(), program.params().end());
    for (Literal& param : params) {
      if (param.type == ScalarType::f32) {
        param.f = random_score(dice);
      } else {
        param.i = dice.below(5) - 2;
      }
    }
    const std::vector<TensorView> captures(program.captures().begin(), program.captures().end());
    const Program changed(program.shared_graph(), params, captures);
    const Program simple = kept.bind(changed);
    ASSERT_EQ(simple.to_string(), simplify(changed).to_string());
    for (int i = 0; i < kSamples; ++i) {
      const Inputs inputs = random_inputs(dice);
      const Outcome expected = outcome_of(changed, inputs);
      ASSERT_TRUE(!expected.value || is_same(expected, outcome_of(simple, inputs)));
    }
  });
}

// One row by the row interpreter; the error of its first faulty element is the row's.
void check_row(const Program& program, program::RowInterpreter& rows, const Inputs& first,
               const std::vector<double>& scores) {
  std::vector<Outcome> expected;
  Inputs inputs = first;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    inputs.kv = first.kv + static_cast<int64_t>(i);
    inputs.score = program.kind() != ModKind::mask ? scores[i] : 0;
    expected.push_back(outcome_of(program, inputs));
    if (!expected.back().value) break;
  }
  const std::string error = expected.empty() ? "" : expected.back().error;
  try {
    if (program.kind() == ModKind::mask) {
      const auto got =
          rows.run_mask(first.b, first.h, first.q, first.kv, static_cast<int64_t>(scores.size()));
      ASSERT_EQ(got.size(), scores.size());
      ASSERT_EQ(error, "");
      for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], expected[i].value->i) << i;
    } else {
      const auto got = rows.run_score(first.b, first.h, first.q, first.kv, scores);
      ASSERT_EQ(got.size(), scores.size());
      ASSERT_EQ(error, "");
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_TRUE(program::is_same(program::make_float(got[i]), *expected[i].value)) << i;
      }
    }
  } catch (const InvalidArgument& thrown) {
    ASSERT_EQ(error, thrown.what());
  }
}

TEST(RandomProgram, RowsAreTheirElements) {
  for_each_program([](const Program& program, test::Dice& dice) {
    program::RowInterpreter rows(program);
    Inputs first = random_inputs(dice);
    for (int i = 0; i < 6; ++i) {
      if (dice.chance(30)) first.b = dice.below(3);
      if (dice.chance(30)) first.h = dice.below(5);
      if (dice.chance(70)) first.q = dice.below(96);
      if (dice.chance(30)) first.kv = dice.below(96);
      std::vector<double> scores(static_cast<std::size_t>(dice.chance(4) ? 300 : dice.below(32)));
      for (double& score : scores) score = random_score(dice);
      ASSERT_NO_FATAL_FAILURE(check_row(program, rows, first, scores));
    }
  });
}

}  // namespace
}  // namespace fovea
