// SPDX-License-Identifier: Apache-2.0
#include "program/builder.h"

#include <array>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "program/fold.h"

namespace fovea::program {
namespace {

int count(const Program& program, Op op) {
  int found = 0;
  for (const Node& node : program.graph().nodes) found += node.op == op ? 1 : 0;
  return found;
}

TEST(Builder, EqualNodesAreOneNode) {
  Builder builder(ModKind::mask);
  const NodeId q = builder.input(Input::q);
  const NodeId kv = builder.input(Input::kv);
  EXPECT_EQ(builder.input(Input::q), q);
  EXPECT_EQ(builder.make(Op::sub, {q, kv}), builder.make(Op::sub, {q, kv}));
  EXPECT_NE(builder.make(Op::sub, {q, kv}), builder.make(Op::sub, {kv, q}));
  EXPECT_EQ(builder.constant(make_float(NAN)), builder.constant(make_float(-NAN)));
  EXPECT_NE(builder.constant(make_float(0.0)), builder.constant(make_float(-0.0)));
}

TEST(Builder, HashConsingSurvivesGrowth) {
  Builder builder(ModKind::mask);
  std::vector<NodeId> first;
  for (int64_t i = 0; i < 1000; ++i) first.push_back(builder.constant(make_int(i)));
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(builder.constant(make_int(i)), first[static_cast<std::size_t>(i)]);
  }
}

// The values of two literals may coincide; the structure must not notice.
TEST(Builder, EachLiteralIsAParameterOfItsOwn) {
  const auto window = [](int64_t a, int64_t b) {
    return mask_mod([=](auto, auto, auto q, auto kv) { return q - kv < a && kv - q < b; });
  };
  EXPECT_EQ(window(8, 8).params().size(), 2u);
  EXPECT_EQ(window(8, 8).structure(), window(8, 9).structure());
  EXPECT_EQ(window(8, 9).params()[1].i, 9);
}

TEST(Builder, OneLiteralUsedTwiceIsOneParameter) {
  const Program program = mask_mod([](auto, auto, auto q, auto kv) {
    const Value limit = 8;
    return q < limit && kv < limit;
  });
  EXPECT_EQ(program.params().size(), 1u);
}

TEST(Builder, LiteralsTakeTheTypeOfTheirUse) {
  const Program program = score_mod([](auto score, auto, auto, auto q, auto) {
    const Value two = 2;
    return score * two + two * score + (q + two);
  });
  ASSERT_EQ(program.params().size(), 2u);
  EXPECT_EQ(program.params()[0].type, ScalarType::f32);
  EXPECT_EQ(program.params()[0].f, 2.0);
  EXPECT_EQ(program.params()[1].type, ScalarType::i32);
}

TEST(Builder, ShapingLiteralsAreConstants) {
  const Program program = score_mod([](auto score, auto, auto, auto q, auto) {
    return pow(score, 2) + (q / 16) + (q % 7) + (q << 3) + where(q == 4, -INFINITY, 1.5);
  });
  std::vector<Literal> constants;
  for (const Node& node : program.graph().nodes) {
    if (node.op == Op::constant) constants.push_back(node.literal);
  }
  ASSERT_EQ(constants.size(), 5u);
  EXPECT_EQ(constants[0].f, 2.0);
  EXPECT_EQ(constants[1].i, 16);
  EXPECT_EQ(constants[2].i, 7);
  EXPECT_EQ(constants[3].i, 3);
  EXPECT_EQ(constants[4].f, -INFINITY);
  EXPECT_EQ(program.params().size(), 2u);
}

TEST(Builder, FoldsLiteralsToALiteral) {
  const Program program = mask_mod([](auto, auto, auto q, auto) {
    const Value block = 16;
    return q / (block * 2) < block / 3 - 1;
  });
  ASSERT_EQ(program.params().size(), 1u);
  EXPECT_EQ(program.params()[0].i, 4);
  EXPECT_EQ(count(program, Op::constant), 1);
  EXPECT_EQ(program.graph().nodes.size(), 5u);
}

TEST(Builder, FoldsBoolsToConstants) {
  const Program program = mask_mod([](auto, auto, auto, auto) { return Value(3) < Value(4); });
  EXPECT_EQ(program.structure(), "mask_mod(b, h, q, kv) {\n  return true\n}");
}

TEST(Builder, WhatWouldFaultIsNotFolded) {
  const Program program = mask_mod(
      [](auto, auto, auto q, auto) { return q < Value(INT64_MAX) + 1 && q < Value(1) / 0; });
  EXPECT_EQ(count(program, Op::add), 1);
  EXPECT_EQ(count(program, Op::floor_div), 1);
}

TEST(Builder, ParamsAreOpaque) {
  Builder builder(ModKind::mask);
  const NodeId a = builder.param(make_int(2));
  const NodeId sum = builder.make(Op::add, {a, builder.param(make_int(3))});
  const NodeId quotient = builder.make(Op::floor_div, {builder.input(Input::q), a});
  EXPECT_EQ(builder.graph()[sum].op, Op::add);
  EXPECT_EQ(builder.graph().args(quotient)[1], a);
}

TEST(Builder, CastsToTheSameTypeVanish) {
  Builder builder(ModKind::score);
  const NodeId q = builder.input(Input::q);
  EXPECT_EQ(builder.make(Op::to_i32, {q}), q);
  const NodeId x = builder.make(Op::to_f32, {q});
  EXPECT_EQ(builder.make(Op::to_f32, {x}), x);
}

TEST(Builder, NumberingIsCanonical) {
  const auto build = [](bool reverse) {
    Builder builder(ModKind::mask);
    const NodeId unused = builder.param(make_int(99));
    const NodeId second = reverse ? builder.param(make_int(2)) : -1;
    const NodeId q = builder.input(Input::q);
    const NodeId kv = builder.input(Input::kv);
    const NodeId near =
        builder.make(Op::le, {builder.make(Op::sub, {q, kv}), builder.param(make_int(1))});
    const NodeId other = reverse ? second : builder.param(make_int(2));
    builder.make(Op::add, {unused, q});
    return builder.finish(builder.make(Op::logical_and, {near, builder.make(Op::lt, {kv, other})}));
  };
  EXPECT_EQ(build(false).to_string(), build(true).to_string());
  EXPECT_EQ(build(false).params().size(), 2u);
  const Program program = build(true);
  const Graph& graph = program.graph();
  EXPECT_EQ(graph.root, graph.size() - 1);
  EXPECT_EQ(graph[0].slot, static_cast<int32_t>(Input::q));
  for (NodeId id = 0; id < graph.size(); ++id) {
    for (const NodeId arg : graph.args(id)) EXPECT_LT(arg, id);
  }
}

TEST(Builder, TheSameViewIsOneCapture) {
  std::array<int32_t, 6> data{};
  const TensorView whole = view(data.data(), Dims{2, 3});
  const TensorView flat = view(data.data(), Dims{6});
  Builder builder(ModKind::mask);
  EXPECT_EQ(builder.capture(whole), 0);
  EXPECT_EQ(builder.capture(flat), 1);
  EXPECT_EQ(builder.capture(whole), 0);
  EXPECT_EQ(builder.new_capture(whole), 2);
  EXPECT_EQ(builder.capture(CaptureSignature{DType::f32, 2}), 3);
  EXPECT_EQ(builder.capture(CaptureSignature{DType::f32, 2}), 4);
}

TEST(Builder, PartlyIndexedTensorsTakeTheRestLater) {
  std::array<float, 24> data{};
  const Capture table = capture(view(data.data(), Dims{2, 3, 4}));
  const Program stepwise = score_mod([=](auto s, auto b, auto h, auto q, auto) {
    const Value row = table[b];
    return s + row[h][q];
  });
  const Program at_once =
      score_mod([=](auto s, auto b, auto h, auto q, auto) { return s + table(b, h, q); });
  EXPECT_EQ(stepwise.to_string(), at_once.to_string());
}

TEST(Builder, ImportReplacesInputs) {
  const Program causal = mask_mod([](auto, auto, auto q, auto kv) { return q + 3 >= kv; });
  Builder builder(ModKind::mask);
  std::array<NodeId, 5> inputs{-1, -1, -1, -1, -1};
  inputs[static_cast<std::size_t>(Input::q)] =
      builder.make(Op::add, {builder.input(Input::q), builder.literal(make_int(100))});
  const Program shifted = builder.finish(builder.import(causal, inputs));
  EXPECT_EQ(shifted.to_string(),
            "mask_mod(b, h, q, kv; p0: i32 = 100, p1: i32 = 3) {\n  return kv <= q + p0 + p1\n}");
}

TEST(Builder, TracesOfTwoThreadsDoNotMeet) {
  const auto trace_many = [](int64_t seed, std::vector<std::string>& texts) {
    for (int64_t i = 0; i < 200; ++i) {
      texts.push_back(
          mask_mod([=](auto, auto, auto q, auto kv) { return q - kv < seed + i; }).to_string());
    }
  };
  std::vector<std::string> a, b, expected;
  std::thread thread(trace_many, 1, std::ref(a));
  trace_many(1, b);
  thread.join();
  trace_many(1, expected);
  EXPECT_EQ(a, expected);
  EXPECT_EQ(b, expected);
}

TEST(Builder, DeepGraphsNeedNoDeepStack) {
  Builder builder(ModKind::score);
  NodeId x = builder.input(Input::score);
  for (int i = 0; i < 60000; ++i) x = builder.make(Op::sin, {x});
  const Program program = builder.finish(x);
  EXPECT_EQ(program.graph().size(), 60001);
  EXPECT_EQ(parse_program(program.to_string()).structure_hash(), program.structure_hash());
}

}  // namespace
}  // namespace fovea::program
