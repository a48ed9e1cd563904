// SPDX-License-Identifier: Apache-2.0
#include "analysis/joint_classes.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fovea::analysis {
namespace {

std::array<float, 64> floats{};
std::array<int32_t, 64> integers{};

TensorView table(int rank) {
  std::vector<int64_t> sizes(static_cast<std::size_t>(rank), 2);
  const Dims dims(sizes);
  return {floats.data(), DType::f32, dims, contiguous_strides(dims), {}};
}

// The classes of the reads of t0 in a bare expression; t1 holds integers.
std::vector<std::string> classes(const std::string& text, int rank) {
  const std::array captures = {table(rank), view(integers.data(), {64})};
  const Program mod = parse_program(text + " + f32(t1[0])", captures);
  std::vector<std::string> result;
  for (const auto& c : classify(derive(mod.graph(), program::all_captures(mod.graph())))) {
    result.push_back(describe(c));
  }
  return result;
}

using Classes = std::vector<std::string>;

TEST(JointClasses, OfTheIndex) {
  EXPECT_EQ(classes("score * t0", 0), Classes{"scalar, value tile"});
  EXPECT_EQ(classes("score + t0[h]", 1), Classes{"scalar per head, value tile"});
  EXPECT_EQ(classes("score + t0[b][h]", 2), Classes{"scalar per batch and head, value tile"});
  EXPECT_EQ(classes("score + t0[b]", 1), Classes{"scalar per batch, value tile"});
  EXPECT_EQ(classes("score + t0[h][q]", 2), Classes{"row per head, value tile"});
  EXPECT_EQ(classes("score + t0[t1[kv]]", 1), Classes{"column, value tile"});
  EXPECT_EQ(classes("score + t0[h][q - kv + 63]", 2), Classes{"diagonal per head, value tile"});
  EXPECT_EQ(classes("score + t0[clamp(abs(kv - q), 0, 31)][h]", 2),
            Classes{"diagonal per head, value tile"});
  EXPECT_EQ(classes("score + t0[b][h][q][kv]", 4), Classes{"tile per batch and head, value tile"});
  EXPECT_EQ(classes("score + t0[q][q + const(2) * kv]", 2), Classes{"tile, value tile"});
}

TEST(JointClasses, WhatMeetsAnAddressTwiceIsGathered) {
  EXPECT_EQ(classes("score + t0[t1[q]][t1[kv]]", 2), Classes{"gathered, value tile"});
  EXPECT_EQ(classes("score + t0[q / 8][kv / 8]", 2), Classes{"gathered, value tile"});
  EXPECT_EQ(classes("score + t0[q + kv]", 1), Classes{"gathered, value tile"});
  EXPECT_EQ(classes("score + t0[q - kv][const(2) * kv - const(2) * q]", 2),
            Classes{"diagonal, value tile"});
  EXPECT_EQ(classes("score + t0[q + kv][const(2) * kv + const(2) * q]", 2),
            Classes{"gathered, value tile"});
  EXPECT_EQ(classes("score + t0[i32(score)]", 1), Classes{"gathered, value tile"});
}

TEST(JointClasses, EachReadHasItsOwn) {
  EXPECT_EQ(classes("score * t0[h] + t0[q] * t0[kv]", 1),
            (Classes{"scalar per head, value tile", "row, value tile", "column, value tile"}));
}

TEST(JointClasses, AFactorMayBeZero) {
  const std::array captures = {table(2)};
  const Program mod = parse_program(
      "score_mod(s, b, h, q, kv; n: i32 = 2, t: f32[2]) { return s + t[q][n * kv] }", captures);
  const auto joint = derive(mod.graph(), program::all_captures(mod.graph()));
  EXPECT_EQ(classify(joint)[0].index, IndexClass::gathered);
}

TEST(JointClasses, Text) {
  const std::array captures = {table(1), table(2)};
  const Program mod = parse_program(
      "score_mod(score, b, h, q, kv; c: f32 = 0.5, slopes: f32[1], seen: f32[2]) {"
      "  d = kv - q "
      "  return where(d <= 0, score + slopes[h] * d, -inf) + floor(seen[b][h]) * c }",
      captures);
  EXPECT_EQ(derivative_text(mod),
            "derivative of score_mod(score, b, h, q, kv; p0: i32 = 0, p1: f32 = 0.5, t0: f32[1], "
            "t1: f32[2]) {\n"
            "  v0 = kv - q\n"
            "  v1 = v0 <= p0\n"
            "  v2 = f32(v0)\n"
            "  out = where(v1, score + t0[h] * v2, -inf) + floor(t1[b][h]) * p1\n"
            "  dscore = where(v1, dout, const(0.0))\n"
            "  if (v1) d t0[h] += dout * v2  # scalar per head, value tile\n"
            "}\n"
            "d t1 = 0, because there is no gradient through floor");
}

}  // namespace
}  // namespace fovea::analysis
