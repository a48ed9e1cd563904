// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "error/program/error_text.h"
#include "program/builder.h"
#include "program/graph.h"

namespace fovea {
namespace {

using test::error_text;

template <class F>
std::string mask_error(F&& mod) {
  return error_text([&] { mask_mod(mod); });
}
template <class F>
std::string score_error(F&& mod) {
  return error_text([&] { score_mod(mod); });
}

TEST(TraceError, ResultOfTheWrongType) {
  EXPECT_EQ(mask_error([](auto, auto, auto q, auto kv) { return q - kv; }),
            "[trace] result of a mask_mod: expected bool, got i32");
  EXPECT_EQ(mask_error([](auto, auto, auto q, auto) { return q * 0.5; }),
            "[trace] result of a mask_mod: expected bool, got f32");
  EXPECT_EQ(score_error([](auto, auto, auto, auto q, auto kv) { return q < kv; }),
            "[trace] result of a score_mod: expected f32, got bool");
  EXPECT_EQ(
      error_text([] { weight_mod([](auto, auto, auto, auto q, auto kv) { return q < kv; }); }),
      "[trace] result of a weight_mod: expected f32, got bool");
}

TEST(TraceError, LogicOfNumbers) {
  EXPECT_EQ(mask_error([](auto, auto, auto q, auto kv) { return q && kv; }),
            "[trace] operands of &&: expected bool, got i32, i32");
  EXPECT_EQ(mask_error([](auto, auto, auto q, auto kv) { return q < kv || 1; }),
            "[trace] operands of ||: expected bool, got bool, i32");
  EXPECT_EQ(mask_error([](auto, auto, auto q, auto) { return !q; }),
            "[trace] operand of !: expected bool, got i32");
}

TEST(TraceError, BitsOfFloats) {
  EXPECT_EQ(score_error([](auto s, auto, auto, auto q, auto) { return s & q; }),
            "[trace] operands of &: expected integers or bools, got f32, i32");
  EXPECT_EQ(score_error([](auto s, auto, auto, auto, auto) { return s << 1; }),
            "[trace] operands of <<: expected integers, got f32, i32");
  EXPECT_EQ(score_error([](auto s, auto, auto, auto, auto) { return ~s; }),
            "[trace] operand of ~: expected integers, got f32");
}

TEST(TraceError, ConditionOfWhere) {
  EXPECT_EQ(score_error([](auto s, auto, auto, auto q, auto) { return where(q, s, 0.0); }),
            "[trace] condition of where: expected bool, got i32");
}

TEST(TraceError, IndicesOfCaptures) {
  std::array<float, 6> data{};
  const Capture table = capture(view(data.data(), Dims{2, 3}));
  EXPECT_EQ(score_error([=](auto s, auto, auto h, auto, auto) { return s + table[h]; }),
            "[trace] captured tensor t0 used as a number: expected 2 indices (its rank), got 1");
  EXPECT_EQ(score_error([=](auto s, auto, auto, auto, auto) { return s + table; }),
            "[trace] captured tensor t0 used as a number: expected 2 indices (its rank), got 0");
  EXPECT_EQ(score_error([=](auto, auto, auto h, auto, auto) { return table[h]; }),
            "[trace] captured tensor t0 used as a number: expected 2 indices (its rank), got 1");
  EXPECT_EQ(score_error([=](auto, auto, auto h, auto q, auto) { return table[table[h]][q]; }),
            "[trace] captured tensor t0 used as a number: expected 2 indices (its rank), got 1");
  EXPECT_EQ(score_error([=](auto, auto, auto h, auto q, auto) { return table(h, q, q); }),
            "[trace] indices of captured tensor t0: expected at most 2 (its rank), got 3");
  EXPECT_EQ(score_error([=](auto s, auto, auto, auto q, auto) { return table[s][q]; }),
            "[trace] index of captured tensor t0: expected an integer, got f32");
  EXPECT_EQ(score_error([](auto s, auto, auto, auto q, auto) { return s[q]; }),
            "[trace] indexing with []: expected a captured tensor, got a number");
}

TEST(TraceError, ValuesOutsideTheirTrace) {
  std::optional<Value> escaped;
  mask_mod([&](auto, auto, auto q, auto kv) {
    escaped = q;
    return q < kv;
  });
  EXPECT_EQ(error_text([&] { (void)(*escaped + *escaped); }),
            "[trace] a Value or literal outside of a mod that is being traced: expected an active "
            "trace, got none");
  EXPECT_EQ(error_text([] { (void)Value(1); }),
            "[trace] a Value or literal outside of a mod that is being traced: expected an active "
            "trace, got none");
  EXPECT_EQ(mask_error([&](auto, auto, auto q, auto) { return q < *escaped; }),
            "[trace] a Value in a mod: expected one of this trace, got one of another trace");
  EXPECT_EQ(mask_error([&](auto, auto, auto q, auto kv) {
              mask_mod([&](auto, auto, auto, auto y) { return q < y; });
              return q < kv;
            }),
            "[trace] a Value in a mod: expected one of this trace, got one of another trace");
}

// An error in a mod leaves no trace behind.
TEST(TraceError, TheNextTraceIsSound) {
  mask_error([](auto, auto, auto q, auto kv) { return q && kv; });
  EXPECT_NE(error_text([] { (void)Value(1); }), "");
  EXPECT_EQ(mask_error([](auto, auto, auto q, auto kv) { return q < kv; }), "");
}

TEST(TraceError, LiteralsBeyond64Bits) {
  EXPECT_EQ(
      mask_error([](auto, auto, auto q, auto) { return q < std::numeric_limits<uint64_t>::max(); }),
      "[trace] integer literal: expected at most 9223372036854775807, got "
      "18446744073709551615");
}

TEST(TraceError, ProgramsWithoutEnd) {
  EXPECT_EQ(mask_error([](auto, auto, auto q, auto kv) {
              Value x = q;
              for (int i = 0; i < 70000; ++i) x = max(x, kv) + q;
              return x < kv;
            }),
            "[trace] size of the program: expected at most 65535 nodes, got 140003");
}

TEST(TraceError, AMaskHasNoScore) {
  program::Builder builder(ModKind::mask);
  EXPECT_EQ(error_text([&] { builder.input(program::Input::score); }),
            "[trace] inputs of a mask_mod: expected b, h, q or kv, got score");
}

TEST(TraceError, RankOfAnUnboundCapture) {
  program::Builder builder(ModKind::mask);
  EXPECT_EQ(error_text([&] { builder.capture(program::CaptureSignature{DType::f32, 17}); }),
            "[trace] rank of a captured tensor: expected 0 to 16, got 17");
}

TEST(ProgramError, MasksToCombine) {
  const Program mask = mask_mod([](auto, auto, auto q, auto kv) { return q < kv; });
  const Program score = score_mod([](auto s, auto, auto, auto, auto) { return s; });
  EXPECT_EQ(error_text([&] { and_masks(mask, score); }),
            "[and_masks] operand: expected a mask_mod, got a score_mod");
  EXPECT_EQ(error_text([&] { or_masks(Program(), mask); }),
            "[or_masks] operand: expected a mask_mod, got an empty Program");
  EXPECT_EQ(error_text([&] { not_mask(score); }),
            "[not_mask] operand: expected a mask_mod, got a score_mod");
}

TEST(ProgramError, AnEmptyProgramHasNoContents) {
  EXPECT_EQ(error_text([] { (void)Program().kind(); }),
            "[Program] an empty Program: expected a mod, got none");
  EXPECT_EQ(error_text([] { simplify(Program()); }),
            "[Program] an empty Program: expected a mod, got none");
}

TEST(ProgramError, BindingsThatDoNotFit) {
  std::array<float, 4> data{};
  const Program program =
      parse_program("mask_mod(b, h, q, kv; p0: i32 = 1, t0: i32[1]) {\n  return t0[q] < p0\n}");
  const auto bind = [&](std::vector<Literal> params, std::vector<TensorView> captures) {
    return error_text([&] { Program(program.shared_graph(), params, captures); });
  };
  const TensorView unbound = program.captures()[0];
  EXPECT_EQ(bind({}, {unbound}), "[Program] number of parameters: expected 1, got 0");
  EXPECT_EQ(bind({{}}, {}), "[Program] number of captured tensors: expected 1, got 0");
  EXPECT_EQ(bind({{ScalarType::f32, 0, 1}}, {unbound}),
            "[Program] type of parameter p0: expected i32, got f32");
  EXPECT_EQ(bind({{}}, {view(data.data(), Dims{2, 2})}),
            "[Program] dtype and rank of captured tensor t0: expected i32[1], got f32[2]");
  EXPECT_EQ(bind({{}}, {unbound}), "");
}

}  // namespace
}  // namespace fovea
