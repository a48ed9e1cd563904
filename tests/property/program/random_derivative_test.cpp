// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <utility>

#include <gtest/gtest.h>

#include "program/derive.h"
#include "property/program/finite_differences.h"
#include "property/program/random_program.h"

// The derivative of random programs, of the score, of every element they read and of every parameter,
// is what central differences in float64 give.
//
// A variable at a point is skipped, by these criteria and no other:
//   kink   between the ends of the step the program decides otherwise (Evaluation)
//   large  some number that the result depends on is beyond kLarge, or no number: float64 rounds
//          away what the step changes
//   steep  the differences of the step and of its half disagree by more than kSteep of the slope
namespace fovea {
namespace {

using program::Inputs;
using program::JointProgram;
using program::JointState;

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kPrograms = 10000;
constexpr int kPoints = 3;
constexpr double kStep = 1e-5, kDout = 1.75;
constexpr double kLarge = 1e6, kSteep = 1e-3, kTolerance = 2e-6;

struct Tally {
  int64_t compared = 0, kink = 0, large = 0, steep = 0, nonzero = 0;
  int64_t all() const { return compared + kink + large + steep; }
};

// Compares at one point.
class Comparison {
 public:
  Comparison(test::Float64Program& own, const JointProgram& joint, const Inputs& at, Tally& tally)
      : own_(own), program_(own.program()), joint_(joint), at_(at), tally_(tally) {}

  void run() {
    const test::Evaluation center(program_, at_);
    if (center.fails(program_.graph().root)) return;
    JointState state(joint_, program_);
    ASSERT_EQ(state.run(at_) == center.result(), !std::isnan(center.result()));
    collect(state);
    if (testing::Test::HasFailure()) return;
    compare(center, "dscore", state.value(joint_.dscore).f, at_.score, [&](double x) {
      Inputs moved = at_;
      moved.score = x;
      return test::Evaluation(program_, moved);
    });
    compare_reads(center);
    compare_params(center);
  }

 private:
  using Address = std::pair<int32_t, int64_t>;

  // What the contributions that hold add up to; the others must be 0.
  void collect(const JointState& state) {
    for (const auto& c : joint_.captures) {
      const double value = state.value(c.value).f;
      if (!state.holds(c)) {
        ASSERT_EQ(value, 0) << "a contribution whose guard does not hold";
        continue;
      }
      const TensorView& tensor = program_.captures()[static_cast<std::size_t>(c.slot)];
      int64_t offset = 0;
      for (std::size_t d = 0; d < c.index.size(); ++d) {
        const int64_t index = state.value(c.index[d]).i;
        ASSERT_TRUE(index >= 0 && index < tensor.size(static_cast<int>(d)));
        offset += index * tensor.stride(static_cast<int>(d));
      }
      elements_[{c.slot, offset}] += value;
    }
    for (const auto& c : joint_.params) params_[c.slot] += state.value(c.value).f;
  }

  void compare_reads(const test::Evaluation& center) {
    const program::Graph& graph = program_.graph();
    std::map<Address, bool> done;
    for (program::NodeId id = 0; id < graph.size(); ++id) {
      const program::Node& node = graph[id];
      if (node.op != program::Op::gather || node.type != ScalarType::f32) continue;
      // The side of an && that does not decide may read outside.
      if (!center.is_live(id) || center.fails(id)) continue;
      const TensorView& tensor = program_.captures()[static_cast<std::size_t>(node.slot)];
      Address address{node.slot, 0};
      for (int d = 0; d < node.count; ++d) {
        const auto index = center.value(graph.args(node)[static_cast<std::size_t>(d)]).i;
        address.second += index * tensor.stride(d);
      }
      if (std::exchange(done[address], true)) continue;
      double& element = own_.element(address.first, address.second);
      const double x = element;
      compare(center, "d t" + std::to_string(node.slot), elements_[address], x, [&](double moved) {
        element = moved;
        const test::Evaluation result(program_, at_);
        element = x;
        return result;
      });
      elements_.erase(address);
    }
    // What is read in a branch that is not taken receives nothing.
    for (const auto& [address, value] : elements_) {
      ASSERT_EQ(value, 0) << "d t" << address.first << " of an element that is not read";
    }
  }

  void compare_params(const test::Evaluation& center) {
    for (std::size_t slot = 0; slot < program_.params().size(); ++slot) {
      if (program_.params()[slot].type != ScalarType::f32) continue;
      std::vector<Literal> params(program_.params().begin(), program_.params().end());
      const double x = params[slot].f;
      const auto name = "d p" + std::to_string(slot);
      compare(center, name, params_[static_cast<int32_t>(slot)], x, [&](double moved) {
        params[slot].f = moved;
        const Program changed(program_.shared_graph(), params,
                              {program_.captures().begin(), program_.captures().end()});
        return test::Evaluation(changed, at_);
      });
    }
  }

  template <class Evaluate>
  void compare(const test::Evaluation& center, const std::string& what, double derived, double x,
               Evaluate&& evaluate) {
    if (testing::Test::HasFailure()) return;
    if (!(center.largest() <= kLarge)) {
      ++tally_.large;
      return;
    }
    bool alike = true;
    const auto f = [&](double moved) {
      const test::Evaluation there = evaluate(moved);
      alike = alike && there.decided_like(center);
      return there.result();
    };
    const auto difference = test::central_difference(f, x, kStep * std::max(1.0, std::fabs(x)));
    const double slope = difference.slope, got = derived / kDout;
    if (!alike) {
      ++tally_.kink;
    } else if (!(difference.error <= kSteep * (1 + std::fabs(slope)))) {
      ++tally_.steep;
    } else {
      ++tally_.compared;
      tally_.nonzero += slope != 0 ? 1 : 0;
      const double allowed = kTolerance * (1 + std::fabs(slope)) + 4 * difference.error;
      ASSERT_NEAR(got, slope, allowed)
          << what << " at score " << at_.score << " b " << at_.b << " h " << at_.h << " q " << at_.q
          << " kv " << at_.kv << "\n"
          << derivative_text();
    }
  }

  std::string derivative_text() const { return joint_.graph->text; }

  test::Float64Program& own_;
  const Program& program_;
  const JointProgram& joint_;
  const Inputs at_;
  Tally& tally_;
  std::map<Address, double> elements_;
  std::map<int32_t, double> params_;
};

void check_derivative(const Program& program, test::Dice& dice, Tally& tally) {
  test::Float64Program own(program);
  const program::Graph& graph = own.program().graph();
  program::Wanted wanted = program::all_captures(graph);
  for (std::size_t slot = 0; slot < graph.params.size(); ++slot) {
    if (graph.params[slot] == ScalarType::f32) wanted.params.push_back(static_cast<int32_t>(slot));
  }
  const JointProgram joint = derive(graph, wanted);
  for (int i = 0; i < kPoints && !testing::Test::HasFailure(); ++i) {
    const Inputs at{.score = dice.normal() * 2,
                    .b = dice.below(3),
                    .h = dice.below(4),
                    .q = dice.below(96),
                    .kv = dice.below(96),
                    .dout = kDout};
    Comparison(own, joint, at, tally).run();
  }
}

void expect_enough(const Tally& tally) {
  const std::string counts = "compared " + std::to_string(tally.compared) + ", of which not 0 " +
                             std::to_string(tally.nonzero) + ", skipped for a kink " +
                             std::to_string(tally.kink) + ", large " + std::to_string(tally.large) +
                             ", steep " + std::to_string(tally.steep);
  testing::Test::RecordProperty("counts", counts);
  EXPECT_LT(tally.all() - tally.compared, tally.all() / 20) << counts;
  EXPECT_GT(tally.nonzero, tally.compared / 4) << counts;
}

template <class F>
void for_each_program(uint64_t count, F&& check) {
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + count; ++seed) {
    test::RandomProgramOptions options;
    options.kind = seed % 4 == 0 ? ModKind::weight : ModKind::score;
    options.steps = 1 + static_cast<int>(seed % 24);
    options.faults = seed % 5 == 0;
    options.tame = true;
    const test::RandomProgram random = test::random_program(seed, options);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + random.code);
    test::Dice dice(seed ^ 0xd1ff);
    check(random.program, dice);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(RandomDerivative, EqualsFiniteDifferences) {
  Tally tally;
  for_each_program(kPrograms, [&](const Program& program, test::Dice& dice) {
    check_derivative(program, dice, tally);
  });
  expect_enough(tally);
}

TEST(RandomDerivative, SecondDerivativesEqualFiniteDifferences) {
  Tally tally;
  for_each_program(kPrograms / 5, [&](const Program& program, test::Dice& dice) {
    check_derivative(program::derivative_of(program), dice, tally);
  });
  expect_enough(tally);
}

}  // namespace
}  // namespace fovea
