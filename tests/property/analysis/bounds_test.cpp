// SPDX-License-Identifier: Apache-2.0
#include "analysis/bounds.h"

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "property/analysis/sampling.h"

namespace fovea::analysis {
namespace {

using program::Inputs;
using program::NodeId;

constexpr uint64_t kPrograms = 10000;
constexpr int kBoxes = 8;
constexpr int kPoints = 12;

bool is_inside(const Literal& value, const Interval& range) {
  if (value.type != ScalarType::f32) {
    return (range.lo == -kUnbounded || value.i >= range.lo) &&
           (range.hi == kUnbounded || value.i <= range.hi);
  }
  if (std::isnan(value.f)) return range.nan;
  return value.f >= range.flo && value.f <= range.fhi;
}

std::string to_text(const Interval& range, ScalarType type) {
  if (type != ScalarType::f32) {
    return "[" + std::to_string(range.lo) + ", " + std::to_string(range.hi) + "]";
  }
  return "[" + std::to_string(range.flo) + ", " + std::to_string(range.fhi) + "]" +
         (range.nan ? " or nan" : "");
}

TEST(RandomBounds, HoldEveryNodeAtEveryPoint) {
  test::for_each_random_program(kPrograms, [](const Program& program, test::Dice& dice) {
    Bounds bounds(program);
    test::PointValues values(program);
    for (int i = 0; i < kBoxes; ++i) {
      const Box box = test::random_box(dice);
      bounds.at(box);
      for (int k = 0; k < kPoints; ++k) {
        const Inputs point = test::random_point(dice, box);
        values.evaluate(point);
        for (NodeId id = 0; id < program.graph().size(); ++id) {
          if (!values.has_value(id)) continue;
          ASSERT_TRUE(is_inside(values.value(id), bounds.node(id)))
              << "node " << id << " in " << test::to_text(box) << "at " << test::to_text(point)
              << ": " << test::to_text(values.value(id)) << " is not in "
              << to_text(bounds.node(id), program.graph()[id].type);
        }
      }
    }
  });
}

// What a box left behind must not leak into the next one, whatever axes moved.
TEST(RandomBounds, DoNotDependOnTheBoxesBefore) {
  test::for_each_random_program(kPrograms / 4, [](const Program& program, test::Dice& dice) {
    Bounds used(program);
    Box box = test::random_box(dice);
    for (int i = 0; i < kBoxes; ++i) {
      if (dice.chance(50)) test::random_range(dice, box.q0, box.q1);
      if (dice.chance(50)) test::random_range(dice, box.kv0, box.kv1);
      if (dice.chance(20)) box.b0 = box.b1 = dice.below(3);
      if (dice.chance(20)) box.h0 = box.h1 = dice.below(3);
      used.at(box);
      Bounds fresh = used.clone();
      Bounds again(program);
      fresh.at(box);
      again.at(box);
      for (NodeId id = 0; id < program.graph().size(); ++id) {
        const ScalarType type = program.graph()[id].type;
        ASSERT_EQ(to_text(used.node(id), type), to_text(again.node(id), type)) << "node " << id;
        ASSERT_EQ(to_text(fresh.node(id), type), to_text(again.node(id), type)) << "node " << id;
      }
    }
  });
}

bool is_same_value(const Literal& a, const Literal& b) {
  return a.type == ScalarType::f32 ? a.f == b.f || (std::isnan(a.f) && std::isnan(b.f))
                                   : a.i == b.i;
}

TEST(RandomBounds, TheRootIsConstantAlongAxesThatAreNotOpen) {
  test::for_each_random_program(kPrograms, [](const Program& program, test::Dice& dice) {
    Bounds bounds(program);
    test::PointValues values(program);
    const NodeId root = program.graph().root;
    for (int i = 0; i < kBoxes; ++i) {
      const Box box = test::random_box(dice);
      bounds.at(box);
      const Axes open = bounds.open_axes();
      ASSERT_EQ(bounds.narrow_axes() & ~open, 0);
      ASSERT_EQ(bounds.narrow_axes() == 0, open == 0);
      const Inputs first = test::random_point(dice, box);
      values.evaluate(first);
      if (!values.has_value(root)) continue;
      const Literal expected = values.value(root);
      for (int k = 0; k < kPoints; ++k) {
        Inputs point = test::random_point(dice, box);
        point.score = first.score;
        if ((open & kAxisB) != 0) point.b = first.b;
        if ((open & kAxisH) != 0) point.h = first.h;
        if ((open & kAxisQ) != 0) point.q = first.q;
        if ((open & kAxisKv) != 0) point.kv = first.kv;
        values.evaluate(point);
        if (!values.has_value(root)) continue;
        ASSERT_TRUE(is_same_value(values.value(root), expected))
            << test::to_text(box) << "open " << int{open} << ": " << test::to_text(first) << " and "
            << test::to_text(point);
      }
    }
  });
}

// A single element is what the interpreter says, unless floats come in (their last bits are not known).
TEST(RandomBounds, ArePointsAtPoints) {
  int64_t integers = 0;
  int64_t decided = 0;
  test::for_each_random_program(kPrograms / 2, [&](const Program& program, test::Dice& dice) {
    Bounds bounds(program);
    test::PointValues values(program);
    for (int i = 0; i < kBoxes; ++i) {
      const Inputs point = test::random_point(dice, test::random_box(dice));
      bounds.at({point.b, point.b, point.h, point.h, point.q, point.q, point.kv, point.kv});
      values.evaluate(point);
      for (NodeId id = 0; id < program.graph().size(); ++id) {
        if (program.graph()[id].type == ScalarType::f32 || !values.has_value(id)) continue;
        ++integers;
        decided += bounds.node(id).lo == bounds.node(id).hi ? 1 : 0;
      }
    }
  });
  EXPECT_GT(static_cast<double>(decided), 0.85 * static_cast<double>(integers));
}

TEST(RandomCheckRanges, ProvesOnlyWhatHolds) {
  test::for_each_random_program(kPrograms, [](const Program& program, test::Dice& dice) {
    const auto& graph = program.graph();
    test::PointValues values(program);
    for (int i = 0; i < kBoxes; ++i) {
      const Box box = test::random_box(dice);
      bool always_fails = false;
      RangeCheck check;
      try {
        check = check_ranges(program, box, "test");
      } catch (const InvalidArgument&) {
        always_fails = true;
      }
      for (int k = 0; k < kPoints; ++k) {
        const Inputs point = test::random_point(dice, box);
        values.evaluate(point);
        if (always_fails) {
          ASSERT_FALSE(values.has_value(graph.root)) << test::to_text(point);
          continue;
        }
        for (NodeId id = 0; id < graph.size(); ++id) {
          if (!values.has_value(id) || graph[id].type != ScalarType::i32) continue;
          const int64_t value = values.value(id).i;
          const bool is_wide = value < INT32_MIN || value > INT32_MAX;
          ASSERT_TRUE(check.needs_64_bits || !is_wide) << "node " << id << " is " << value;
        }
        for (NodeId id = 0; id < graph.size(); ++id) {
          const program::Node& node = graph[id];
          if (node.op != program::Op::gather) continue;
          const TensorView& tensor = program.captures()[static_cast<std::size_t>(node.slot)];
          int dimension = 0;
          for (const NodeId arg : graph.args(node)) {
            const int64_t size = tensor.size(dimension++);
            if (!values.has_value(arg)) continue;
            const int64_t index = values.value(arg).i;
            ASSERT_TRUE(check.may_leave_range[static_cast<std::size_t>(id)] ||
                        (index >= 0 && index < size))
                << "node " << id << ", index " << index << " at " << test::to_text(point);
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace fovea::analysis
