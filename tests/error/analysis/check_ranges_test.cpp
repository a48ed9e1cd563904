// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "analysis/bounds.h"

namespace fovea::analysis {
namespace {

// t0: 8 numbers, t1: 2 x 8, t2: nothing.
std::string message_of(const char* text, const Box& box) {
  static const std::array<int32_t, 16> values{};
  const std::array<TensorView, 3> captures{view(values.data(), {8}), view(values.data(), {2, 8}),
                                           view(values.data(), {0})};
  try {
    check_ranges(parse_program(text, captures), box, "flex_attention");
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no error";
}

constexpr Box kBox{.b1 = 1, .h1 = 3, .q1 = 7, .kv1 = 7};

TEST(CheckRangesError, IndexOutsideForEveryElement) {
  EXPECT_EQ(message_of("t0[q + 8] > 0", kBox),
            "[flex_attention] index 0 of captured tensor t0: expected 0 to 7, got 8 to 15");
  EXPECT_EQ(message_of("t0[kv - 9] > 0", kBox),
            "[flex_attention] index 0 of captured tensor t0: expected 0 to 7, got -9 to -2");
  EXPECT_EQ(message_of("t1[b][q] + t1[b + 2][q] > 0", kBox),
            "[flex_attention] index 0 of captured tensor t0: expected 0 to 1, got 2 to 3");
  EXPECT_EQ(message_of("t1[1][8] > 0", kBox),
            "[flex_attention] index 1 of captured tensor t0: expected 0 to 7, got 8");
  EXPECT_EQ(message_of("t2[q] > 0", kBox),
            "[flex_attention] index 0 of captured tensor t0: expected none (the size is 0), got 0 "
            "to 7");
}

TEST(CheckRangesError, EvenBehindAConditionThatIsAlwaysTaken) {
  EXPECT_EQ(message_of("q >= 0 && t0[q + 8] > 0", kBox),
            "[flex_attention] index 0 of captured tensor t0: expected 0 to 7, got 8 to 15");
  EXPECT_EQ(message_of("where(kv < 8, t0[q + 8] > 0, true)", kBox),
            "[flex_attention] index 0 of captured tensor t0: expected 0 to 7, got 8 to 15");
}

TEST(CheckRangesError, NotIfSomeElementIsInside) {
  EXPECT_EQ(message_of("t0[q + 7] > 0", kBox), "no error");
  EXPECT_EQ(message_of("q > kv && t0[q + 8] > 0", kBox), "no error");
}

}  // namespace
}  // namespace fovea::analysis
