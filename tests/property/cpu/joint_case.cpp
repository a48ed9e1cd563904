// SPDX-License-Identifier: Apache-2.0
#include "property/cpu/joint_case.h"

#include <cmath>
#include <map>
#include <utility>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "cpu/attention/scatter_gradients.h"
#include "program/interpret.h"
#include "property/cpu/rounding_model.h"

namespace fovea::cpu::testing {
namespace {

using analysis::IndexClass;
using program::JointProgram;
using program::NodeId;
using Contribution = JointProgram::Contribution;

// A sum of f32 numbers and how far it may be off. `open`: one of them has no definite answer.
struct Sum {
  double value = 0, magnitude = 0, error = 0;
  int64_t count = 0;
  bool open = false;

  void add(const Approximation& a) {
    open = open || a.open || !std::isfinite(a.value);
    value += a.value;
    magnitude += std::abs(a.value);
    error += a.error;
    ++count;
  }
  double allowed() const { return error + magnitude * 0x1p-24 * static_cast<double>(count + 8); }
};

// Everything that a tile must give.
struct Expected {
  std::vector<Approximation> dscore;
  // By contribution: sums by place in its memory (harness), and the same in the gradient tensor.
  std::vector<std::map<int64_t, Sum>> sums, tensors;
  std::vector<bool> open;  // an address of the contribution is not known
};

int64_t number_of(const TileShape& shape, IndexClass index, const program::Inputs& at) {
  const int64_t first = sum_range(index, shape.q0, shape.rows, shape.kv0, shape.cols).first;
  switch (index) {
    case IndexClass::scalar: return 0;
    case IndexClass::row: return at.q - first;
    case IndexClass::column: return at.kv - first;
    case IndexClass::diagonal: return at.kv - at.q - first;
    case IndexClass::tile:
    case IndexClass::gathered: break;
  }
  return -1;
}

class Expectation {
 public:
  Expectation(const JointCase& c, const JointProgram& joint, const TileProgram& lowered)
      : case_(c),
        mod_(c.tile.score),
        joint_(joint),
        bound_(joint.graph, {mod_.params().begin(), mod_.params().end()},
               {mod_.captures().begin(), mod_.captures().end()}),
        contributions_(lowered.contributions()) {}

  Expected run() {
    expected_.sums.resize(contributions_.size());
    expected_.tensors.resize(contributions_.size());
    expected_.open.resize(contributions_.size(), false);
    for (std::size_t k = 0; k < case_.dout.size(); ++k) element(static_cast<int64_t>(k));
    return std::move(expected_);
  }

 private:
  void element(int64_t k) {
    const TileShape& shape = case_.tile.shape;
    const program::Inputs at{.score = static_cast<double>(case_.tile.scores[std::size_t(k)]),
                             .b = shape.b,
                             .h = shape.h,
                             .q = shape.q0 + k / shape.cols,
                             .kv = shape.kv0 + k % shape.cols,
                             .dout = static_cast<double>(case_.dout[std::size_t(k)])};
    if (at.dout == 0) {
      expected_.dscore.push_back({});
      return;
    }
    const std::vector<Approximation> nodes = approximate_nodes(bound_, at);
    const auto of = [&](NodeId id) { return nodes[static_cast<std::size_t>(id)]; };
    expected_.dscore.push_back(of(joint_.dscore));
    compare_with_interpreter(at, of(joint_.dscore));
    std::size_t i = 0;
    for (const auto* list : {&joint_.captures, &joint_.params}) {
      for (const Contribution& c : *list) contribute(c, i++, at, nodes);
    }
  }

  void compare_with_interpreter(const program::Inputs& at, const Approximation& dscore) {
    if (dscore.open) return;
    program::JointState state(joint_, mod_);
    try {
      state.run(at);
    } catch (const InvalidArgument&) {
      // The result has no value; dscore may have one.
    }
    const double exact = state.value(joint_.dscore).f;
    EXPECT_TRUE(exact == dscore.value || std::isnan(exact) ||
                std::abs(exact - dscore.value) <= 1e-9 * std::abs(exact) + 1e-30)
        << "the test's own model: " << exact << " and " << dscore.value;
  }

  void contribute(const Contribution& c, std::size_t i, const program::Inputs& at,
                  const std::vector<Approximation>& nodes) {
    const Approximation& value = nodes[static_cast<std::size_t>(c.value)];
    const IndexClass index = contributions_[i].classes.index;
    const int64_t number = number_of(case_.tile.shape, index, at);
    if (number >= 0) expected_.sums[i][number].add(value);
    if (i >= joint_.captures.size() || expected_.open[i]) return;
    const TensorView& tensor = mod_.captures()[static_cast<std::size_t>(c.slot)];
    const Dims strides = contiguous_strides(tensor.sizes);
    int64_t offset = 0;
    for (std::size_t d = 0; d < c.index.size(); ++d) {
      const Approximation& a = nodes[static_cast<std::size_t>(c.index[d])];
      if (a.open) {
        expected_.open[i] = true;
        return;
      }
      const int dimension = static_cast<int>(d);
      if (a.integer < 0 || a.integer >= tensor.size(dimension)) return;
      offset += a.integer * strides[dimension];
    }
    expected_.tensors[i][offset].add(value);
  }

  const JointCase& case_;
  const Program& mod_;
  const JointProgram& joint_;
  Program bound_;
  std::span<const TileContribution> contributions_;
  Expected expected_;
};

class JointCheck {
 public:
  JointCheck(const JointCase& c, JointTally& tally)
      : case_(c),
        tally_(tally),
        joint_(joint_of(c.tile.score, true)),
        lowered_(lower_joint(c.tile.score, joint_, c.tile.mask)),
        expected_(Expectation(c, joint_, lowered_).run()) {}

  void run(const NamedMachine& machine, bool wide) {
    const JointTile got =
        run_joint_tile(machine, lowered_, case_.tile.score, case_.tile.mask, case_.tile.shape,
                       case_.tile.scores, case_.dout, {.needs_64_bits = wide});
    check_elements(case_.tile, got.scores, tally_.scores);
    for (std::size_t k = 0; k < got.dscore.size(); ++k) {
      const Approximation& want = expected_.dscore[k];
      ++tally_.dscores.elements;
      if (want.open) continue;
      ++tally_.dscores.decided;
      EXPECT_LE(std::abs(static_cast<double>(got.dscore[k]) - want.value), want.error)
          << "dscore of element " << k << ": expected " << want.value << ", got " << got.dscore[k];
    }
    for (std::size_t i = 0; i < got.gradients.size(); ++i) check_contribution(i, got.gradients[i]);
    if (::testing::Test::HasFailure()) {
      const TileShape& shape = case_.tile.shape;
      FAIL() << machine.name << ", tile " << shape.rows << " x " << shape.cols << " at " << shape.q0
             << ", " << shape.kv0 << "\n"
             << case_.tile.code << joint_.graph->text << "\n"
             << lowered_.describe();
    }
  }

 private:
  bool is_scattered(std::size_t i) const {
    const IndexClass index = lowered_.contributions()[i].classes.index;
    return index == IndexClass::tile || index == IndexClass::gathered;
  }

  void check_contribution(std::size_t i, const std::vector<float>& got) {
    SCOPED_TRACE("contribution " + std::to_string(i));
    if (is_scattered(i)) {
      if (!expected_.open[i]) check_sums(expected_.tensors[i], got);
      return;
    }
    check_sums(expected_.sums[i], got);
    if (i >= joint_.captures.size() || expected_.open[i]) return;
    // And on to the tensor.
    const auto slot = static_cast<std::size_t>(joint_.captures[i].slot);
    const Dims& sizes = case_.tile.score.captures()[slot].sizes;
    int64_t count = 1;
    for (const int64_t size : sizes) count *= size;
    std::vector<double> tensor(static_cast<std::size_t>(count), 0.0);
    const TileShape& shape = case_.tile.shape;
    const SumRange range = sum_range(lowered_.contributions()[i].classes.index, shape.q0,
                                     shape.rows, shape.kv0, shape.cols);
    GradientScatter(joint_, case_.tile.score, i)
        .add(shape.b, shape.h, range.first, std::span<const float>(got),
             view(tensor.data(), sizes));
    check_sums(expected_.tensors[i], tensor);
  }

  template <class T>
  void check_sums(const std::map<int64_t, Sum>& want, const std::vector<T>& got) {
    for (std::size_t k = 0; k < got.size(); ++k) {
      const auto found = want.find(static_cast<int64_t>(k));
      const Sum sum = found == want.end() ? Sum{} : found->second;
      ++tally_.sums.elements;
      if (sum.open) continue;
      ++tally_.sums.decided;
      EXPECT_LE(std::abs(static_cast<double>(got[k]) - sum.value), sum.allowed())
          << "sum " << k << " of " << sum.count << " numbers: expected " << sum.value << ", got "
          << got[k];
    }
  }

  const JointCase& case_;
  JointTally& tally_;
  const JointProgram joint_;
  const TileProgram lowered_;
  const Expected expected_;
};

}  // namespace

JointCase with_dout(test::Dice& dice, const TileCase& tile) {
  JointCase c{tile, {}};
  for (std::size_t k = 0; k < tile.scores.size(); ++k) {
    const auto i = static_cast<int64_t>(k);
    bool allowed = true;
    if (tile.mask) {
      const program::Inputs at{.b = tile.shape.b,
                               .h = tile.shape.h,
                               .q = tile.shape.q0 + i / tile.shape.cols,
                               .kv = tile.shape.kv0 + i % tile.shape.cols};
      allowed = program::interpret(tile.mask, at).i != 0;
    }
    const double value = dice.normal();
    c.dout.push_back(allowed && !dice.chance(20) ? static_cast<float>(value) : 0.0f);
  }
  return c;
}

void check_joint_case(const JointCase& c, JointTally& tally) {
  const bool wide =
      needs_64_bits(c.tile.score, c.tile.shape) || needs_64_bits(c.tile.mask, c.tile.shape);
  JointCheck check(c, tally);
  ++tally.scores.tiles;
  tally.scores.fast += wide ? 0 : 1;
  for (const NamedMachine& machine : machines()) {
    check.run(machine, wide);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace fovea::cpu::testing
