// SPDX-License-Identifier: Apache-2.0
#include "analysis/dependence.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace fovea::analysis {
namespace {

struct Row {
  const char* text;
  const char* reads;  // of s(core), b, h, q, k(v)
  ShapeClass shape;
};

Dependence root_of(const Program& program) {
  return dependence(program.graph())[static_cast<std::size_t>(program.graph().root)];
}

std::string reads_of(const Dependence& d) {
  std::string text;
  if (d.score) text += 's';
  if (d.b) text += 'b';
  if (d.h) text += 'h';
  if (d.q) text += 'q';
  if (d.kv) text += 'k';
  return text;
}

// t0: a vector, t1: a matrix, t2: a matrix of floats, t3: one number.
Program parse(const char* text) {
  static std::array<int32_t, 64> ints{};
  static std::array<float, 64> floats{};
  const std::array<TensorView, 4> captures{view(ints.data(), {64}), view(ints.data(), {8, 8}),
                                           view(floats.data(), {8, 8}), view(ints.data(), {})};
  return parse_program(text, captures);
}

void check(std::span<const Row> rows) {
  for (const Row& row : rows) {
    const Dependence d = root_of(parse(row.text));
    EXPECT_EQ(reads_of(d), row.reads) << row.text;
    EXPECT_STREQ(name_of(d.shape), name_of(row.shape)) << row.text;
  }
}

TEST(Dependence, OfMasks) {
  constexpr Row kRows[] = {
      {"b == 1", "b", ShapeClass::scalar},
      {"h + b < 3", "bh", ShapeClass::scalar},
      {"q < 10", "q", ShapeClass::row},
      {"q / 4 % 3 == b", "bq", ShapeClass::row},
      {"kv >= 7", "k", ShapeClass::column},
      {"q >= kv", "qk", ShapeClass::diagonal},
      {"q + 5 >= kv", "qk", ShapeClass::diagonal},
      {"q + b >= kv + h", "bhqk", ShapeClass::diagonal},
      {"q == kv", "qk", ShapeClass::diagonal},
      {"kv - q != 3", "qk", ShapeClass::diagonal},
      {"q >= kv && q - kv <= 100", "qk", ShapeClass::diagonal},
      {"abs(q - kv) % 4 == 0", "qk", ShapeClass::diagonal},
      {"min(q - kv, 3) < (kv - q) * 2", "qk", ShapeClass::diagonal},
      {"q + kv < 10", "qk", ShapeClass::tile},
      {"2 * q >= kv", "qk", ShapeClass::tile},
      {"q >= kv || kv < 4", "qk", ShapeClass::tile},
      {"q >= kv && q < 4", "qk", ShapeClass::tile},
      {"q / 2 == kv / 2", "qk", ShapeClass::tile},
      {"q * kv == 4", "qk", ShapeClass::tile},
      {"min(q, kv) < 3", "qk", ShapeClass::tile},
  };
  check(kRows);
}

TEST(Dependence, FindsTheDifferenceInLinearForms) {
  constexpr Row kRows[] = {
      {"(q + 7) - kv < 4", "qk", ShapeClass::diagonal},
      {"q - (kv - 9) < 4", "qk", ShapeClass::diagonal},
      {"-(kv - q) < 4", "qk", ShapeClass::diagonal},
      {"3 - kv + q < 4", "qk", ShapeClass::diagonal},
      {"q * b - kv * b < h", "bhqk", ShapeClass::diagonal},
      {"(q - kv) * b * h < 4", "bhqk", ShapeClass::diagonal},
      {"q * b - kv * h < 4", "bhqk", ShapeClass::tile},
      {"(q - kv) + (q - kv) < 4", "qk", ShapeClass::diagonal},
      {"(q - kv) + kv < 4", "q", ShapeClass::row},
      {"q - (q - kv) < 4", "k", ShapeClass::column},
      {"q + 1 > q", "", ShapeClass::scalar},
      {"(q + 3) - q == b", "b", ShapeClass::scalar},
      {"(q - kv) + q < 4", "qk", ShapeClass::tile},
      {"f32(q) - f32(kv) < 4.0", "qk", ShapeClass::tile},  // floats round
      {"f32(q - kv) < 4.0", "qk", ShapeClass::diagonal},
  };
  check(kRows);
}

TEST(Dependence, OfCapturedTensors) {
  constexpr Row kRows[] = {
      {"t0[3] == 1", "", ShapeClass::scalar},
      {"t0[q] == 1", "q", ShapeClass::row},
      {"t1[b][kv] == 1", "bk", ShapeClass::column},
      {"t0[q - kv + 9] == 1", "qk", ShapeClass::diagonal},
      {"t1[h][q - kv] == 1", "hqk", ShapeClass::diagonal},
      {"t1[q][kv] == 1", "qk", ShapeClass::tile},
      {"t1[q][q - kv] == 1", "qk", ShapeClass::tile},
      {"t0[q] == t0[kv]", "qk", ShapeClass::tile},
      {"t0[t0[q]] == 1", "q", ShapeClass::row},
      {"q - kv < t0[b]", "bqk", ShapeClass::diagonal},
      {"q - kv < t0[q]", "qk", ShapeClass::tile},
  };
  check(kRows);
}

TEST(Dependence, OfScores) {
  constexpr Row kRows[] = {
      {"score * 2.0", "s", ShapeClass::tile},
      {"score + t2[h][q - kv]", "shqk", ShapeClass::tile},
      {"where(q >= kv, score, -inf)", "sqk", ShapeClass::tile},
  };
  check(kRows);
}

// What the class promises: a diagonal node takes the same value wherever q - kv is the same.
TEST(Dependence, EveryNodeOfAProgramHasItsClass) {
  const Program program = parse("where(q - kv < 8, score + t2[h][q] * 2.0, score + f32(q - kv))");
  const auto all = dependence(program.graph());
  ASSERT_EQ(all.size(), program.graph().nodes.size());
  bool row = false;
  bool diagonal = false;
  for (const Dependence& d : all) {
    row |= d.shape == ShapeClass::row && d.h;
    diagonal |= d.shape == ShapeClass::diagonal && !d.score;
  }
  EXPECT_TRUE(row);
  EXPECT_TRUE(diagonal);
}

}  // namespace
}  // namespace fovea::analysis
