// SPDX-License-Identifier: Apache-2.0
#include "analysis/dependence.h"

#include <gtest/gtest.h>

#include "property/analysis/sampling.h"

namespace fovea::analysis {
namespace {

using program::Inputs;
using program::NodeId;

bool is_same_value(const Literal& a, const Literal& b) {
  return a.type == ScalarType::f32 ? a.f == b.f || (std::isnan(a.f) && std::isnan(b.f))
                                   : a.i == b.i;
}

// Moves a point to another one at which a node of this dependence must have the same value.
Inputs moved(const Inputs& from, const Dependence& d, test::Dice& dice) {
  Inputs to = from;
  if (!d.score) to.score = dice.normal();
  if (!d.b) to.b = dice.below(3);
  if (!d.h) to.h = dice.below(4);
  if (!d.q) to.q = dice.below(200);
  if (!d.kv) to.kv = dice.below(200);
  if (d.shape == ShapeClass::diagonal) {
    to.q = from.q - from.kv;  // as the kernels do: (d, 0)
    to.kv = 0;
  }
  return to;
}

TEST(RandomDependence, NodesKeepTheirValueWhereTheyMust) {
  int64_t diagonals = 0;
  test::for_each_random_program(6000, [&](const Program& program, test::Dice& dice) {
    const auto all = dependence(program.graph());
    test::PointValues values(program);
    test::PointValues others(program);
    for (int i = 0; i < 6; ++i) {
      const Inputs point = test::random_point(dice, {0, 2, 0, 3, 0, 200, 0, 200});
      values.evaluate(point);
      for (NodeId id = 0; id < program.graph().size(); ++id) {
        const Dependence& d = all[static_cast<std::size_t>(id)];
        const bool movable = d.shape != ShapeClass::tile || !d.b || !d.h;
        if (!movable || !values.has_value(id)) continue;
        diagonals += d.shape == ShapeClass::diagonal ? 1 : 0;
        const Inputs other = moved(point, d, dice);
        others.evaluate(other);
        if (!others.has_value(id)) continue;
        ASSERT_TRUE(is_same_value(values.value(id), others.value(id)))
            << "node " << id << ", " << name_of(d.shape) << ": " << test::to_text(values.value(id))
            << " at " << test::to_text(point) << ", " << test::to_text(others.value(id)) << " at "
            << test::to_text(other);
      }
    }
  });
  EXPECT_GT(diagonals, 1000);
}

TEST(RandomDependence, ClassAndAxesAgree) {
  test::for_each_random_program(2000, [](const Program& program, test::Dice&) {
    for (const Dependence& d : dependence(program.graph())) {
      const bool both = d.q && d.kv;
      ASSERT_EQ(d.shape == ShapeClass::scalar, !d.q && !d.kv && !d.score);
      ASSERT_EQ(d.shape == ShapeClass::row, d.q && !d.kv && !d.score);
      ASSERT_EQ(d.shape == ShapeClass::column, !d.q && d.kv && !d.score);
      ASSERT_TRUE(d.shape != ShapeClass::diagonal || (both && !d.score));
      ASSERT_TRUE(d.shape != ShapeClass::tile || both || d.score);
    }
  });
}

}  // namespace
}  // namespace fovea::analysis
