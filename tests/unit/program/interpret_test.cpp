// SPDX-License-Identifier: Apache-2.0
#include "program/interpret.h"

#include <array>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "program/fold.h"

namespace fovea::program {
namespace {

double score_of(const char* text, const Inputs& inputs = {}) {
  return interpret(parse_program(text), inputs).f;
}
int64_t mask_of(const char* text, const Inputs& inputs = {}) {
  return interpret(parse_program(text), inputs).i;
}

TEST(Interpret, Inputs) {
  const Inputs inputs{.score = 0.5, .b = 1, .h = 2, .q = 3, .kv = 4};
  EXPECT_EQ(score_of("score", inputs), 0.5);
  EXPECT_EQ(score_of("b * 1000 + h * 100 + q * 10 + kv", inputs), 1234);
}

TEST(Interpret, IntegersFloorAndFloatsDivide) {
  EXPECT_EQ(mask_of("(q - kv) / 4 == -2 && (q - kv) % 4 == 3", {.q = 0, .kv = 5}), 1);
  EXPECT_EQ(score_of("f32(q) / f32(kv)", {.q = 1, .kv = 4}), 0.25);
}

TEST(Interpret, IntegersDoNotWrapAt32Bits) {
  EXPECT_EQ(mask_of("q * kv > 2147483647", {.q = 1 << 20, .kv = 1 << 20}), 1);
}

TEST(Interpret, FloatsAreDoubles) {
  EXPECT_EQ(score_of("score + 1.0", {.score = 1e-12}), 1 + 1e-12);
}

TEST(Interpret, ABranchThatIsNotTakenNeverLeaks) {
  EXPECT_EQ(score_of("where(q < 0, nan, 3.0)"), 3);
  EXPECT_EQ(score_of("where(q == 0, 3.0, 1.0 / f32(q))"), 3);
}

TEST(Interpret, CapturesOfEveryType) {
  std::array<double, 2> f64{1.5, 2.5};
  std::array<float, 2> f32{1.5, 2.5};
  std::array<BFloat16, 2> bf16{BFloat16(1.5f), BFloat16(2.5f)};
  std::array<Float16, 2> f16{Float16(1.5f), Float16(2.5f)};
  std::array<int64_t, 2> i64{1, int64_t{1} << 40};
  std::array<int32_t, 2> i32{1, -2};
  std::array<int16_t, 2> i16{1, -2};
  std::array<int8_t, 2> i8{1, -2};
  std::array<uint8_t, 2> u8{1, 200};
  std::array<bool, 2> flags{false, true};
  const auto at_1 = [](const TensorView& tensor) {
    return read_element(tensor, std::array{int64_t{1}});
  };
  EXPECT_TRUE(is_same(at_1(view(f64.data(), Dims{2})), make_float(2.5)));
  EXPECT_TRUE(is_same(at_1(view(f32.data(), Dims{2})), make_float(2.5)));
  EXPECT_TRUE(is_same(at_1(view(bf16.data(), Dims{2})), make_float(2.5)));
  EXPECT_TRUE(is_same(at_1(view(f16.data(), Dims{2})), make_float(2.5)));
  EXPECT_TRUE(is_same(at_1(view(i64.data(), Dims{2})), make_int(int64_t{1} << 40)));
  EXPECT_TRUE(is_same(at_1(view(i32.data(), Dims{2})), make_int(-2)));
  EXPECT_TRUE(is_same(at_1(view(i16.data(), Dims{2})), make_int(-2)));
  EXPECT_TRUE(is_same(at_1(view(i8.data(), Dims{2})), make_int(-2)));
  EXPECT_TRUE(is_same(at_1(view(u8.data(), Dims{2})), make_int(200)));
  EXPECT_TRUE(is_same(at_1(view(flags.data(), Dims{2})), make_bool(true)));
}

TEST(Interpret, StridesOfAnySign) {
  std::array<int32_t, 6> data{0, 1, 2, 3, 4, 5};
  const std::array tensors = {view(data.data() + 5, Dims{2, 3}, Dims{-3, -1})};
  EXPECT_EQ(interpret(parse_program("t0[q][kv]", tensors), {.q = 0, .kv = 1}).f, 4);
  const std::array broadcast = {view(data.data(), Dims{2, 3}, Dims{0, 2})};
  EXPECT_EQ(interpret(parse_program("t0[q][kv]", broadcast), {.q = 1, .kv = 2}).f, 4);
}

TEST(Interpret, AFaultThatDoesNotMatterIsNone) {
  std::array<int32_t, 3> data{7, 8, 9};
  const std::array tensors = {view(data.data(), Dims{3})};
  const auto run = [&](const char* text, int64_t q) {
    const Literal value = interpret(parse_program(text, tensors), {.q = q});
    return value.type == ScalarType::f32 ? value.f : static_cast<double>(value.i);
  };
  EXPECT_EQ(run("where(q < 3, t0[q], -1)", 5), -1);
  EXPECT_EQ(run("q < 3 && t0[q] == 8", 5), 0);
  EXPECT_EQ(run("t0[q] == 8 && q < 3", 5), 0);
  EXPECT_EQ(run("q >= 3 || t0[q] == 8", 5), 1);
  EXPECT_EQ(run("(q < 3) & (t0[q] == 8)", 5), 0);
  EXPECT_EQ(run("where(q == 0, 0, 6 / q)", 0), 0);
  EXPECT_EQ(run("where(t0[q] == 8, 1, 1)", 1), 1);
  EXPECT_THROW(run("t0[q]", 5), InvalidArgument);
  EXPECT_THROW(run("q < 3 || t0[q] == 8", 5), InvalidArgument);
  EXPECT_THROW(run("where(t0[q] == 8, 1, 2)", 5), InvalidArgument);
}

TEST(RowInterpreter, MasksByRow) {
  RowInterpreter rows(parse_program("q >= kv && q - kv < 3"));
  for (int64_t q = 0; q < 6; ++q) {
    const auto row = rows.run_mask(0, 0, q, 1, 5);
    ASSERT_EQ(row.size(), 5u);
    for (int64_t i = 0; i < 5; ++i) {
      const int64_t kv = 1 + i;
      EXPECT_EQ(row[static_cast<std::size_t>(i)] != 0, q >= kv && q - kv < 3);
    }
  }
  EXPECT_EQ(rows.elements_evaluated(), 30);
}

TEST(RowInterpreter, RowsLongerThanItsBuffers) {
  RowInterpreter rows(parse_program("score + kv * 2 - q"));
  std::vector<double> scores(1000);
  for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = 0.25 * static_cast<double>(i);
  for (int64_t q = 0; q < 3; ++q) {
    const auto row = rows.run_score(0, 0, q, 10, scores);
    ASSERT_EQ(row.size(), scores.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto kv = static_cast<double>(i) + 10;
      EXPECT_EQ(row[i], scores[i] + kv * 2 - static_cast<double>(q));
    }
  }
}

TEST(RowInterpreter, WhatDoesNotDependOnTheKey) {
  RowInterpreter everything(parse_program("true"));
  EXPECT_EQ(everything.run_mask(0, 0, 0, 0, 3)[2], 1);
  RowInterpreter by_head(parse_program("h < 2"));
  EXPECT_EQ(by_head.run_mask(0, 1, 0, 0, 300)[299], 1);
  EXPECT_EQ(by_head.run_mask(0, 2, 0, 0, 300)[299], 0);
  RowInterpreter by_key(parse_program("kv < 2"));
  EXPECT_EQ(by_key.run_mask(0, 0, 0, 0, 4)[3], 0);
  EXPECT_EQ(by_key.run_mask(0, 0, 1, 1, 4)[0], 1);
  EXPECT_TRUE(by_key.run_mask(0, 0, 1, 1, 0).empty());
}

TEST(RowInterpreter, GoesOnAfterAnError) {
  std::array<int32_t, 4> data{1, 2, 3, 4};
  const std::array tensors = {view(data.data(), Dims{4})};
  RowInterpreter rows(parse_program("t0[q] + t0[kv] == 4", tensors));
  EXPECT_THROW(rows.run_mask(0, 0, 9, 0, 4), InvalidArgument);
  EXPECT_THROW(rows.run_mask(0, 0, 0, 0, 5), InvalidArgument);
  const auto row = rows.run_mask(0, 0, 1, 0, 4);
  EXPECT_EQ(std::vector<uint8_t>(row.begin(), row.end()), (std::vector<uint8_t>{0, 1, 0, 0}));
}

TEST(RowInterpreter, CanBeMoved) {
  RowInterpreter first(parse_program("q < kv"));
  first.run_mask(0, 0, 1, 0, 4);
  RowInterpreter second(std::move(first));
  EXPECT_EQ(second.run_mask(0, 0, 1, 0, 4)[2], 1);
}

}  // namespace
}  // namespace fovea::program
