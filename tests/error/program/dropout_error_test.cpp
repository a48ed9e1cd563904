// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>

#include <fovea/dropout.h>
#include "error/program/error_text.h"

namespace fovea {
namespace {

using test::error_text;

TEST(DropoutError, AProbabilityOutside) {
  std::array<int64_t, 1> number{};
  const TensorView one = view(number.data(), {1});
  EXPECT_EQ(error_text([&] { dropout(1.5, one, one); }),
            "[dropout] p must be a probability: expected 0 to 1, got 1.500000");
  EXPECT_EQ(error_text([&] { dropout(-0.5, one, one); }),
            "[dropout] p must be a probability: expected 0 to 1, got -0.500000");
  EXPECT_NE(error_text([&] { dropout(NAN, one, one); }), "");
}

TEST(DropoutError, ASeedOrOffsetThatIsNoNumberOf64Bits) {
  std::array<int64_t, 2> numbers{};
  std::array<int32_t, 1> narrow{};
  const TensorView one = view(numbers.data(), {1}), two = view(numbers.data(), {2});
  EXPECT_EQ(error_text([&] { dropout(0.1, view(narrow.data(), {1}), one); }),
            "[dropout] seed must be an integer of 64 bits: expected i64, got i32");
  EXPECT_EQ(error_text([&] { dropout(0.1, one, two); }),
            "[dropout] offset must be one number: expected 1 element, got 2");
  EXPECT_EQ(error_text([&] { dropout(0.1, one, view(static_cast<int64_t*>(nullptr), {1})); }),
            "[dropout] offset must be in memory: expected a pointer, got null");
}

TEST(ComposeError, OtherThanTwoOfOneKind) {
  const Program mask = parse_program("q >= kv"), score = parse_program("score * 2.0");
  const Program weight = weight_mod([](auto w, auto, auto, auto, auto) { return w * 2.0f; });
  EXPECT_EQ(error_text([&] { compose(mask, mask); }),
            "[compose] inner program: expected a score_mod or weight_mod, got mask_mod");
  EXPECT_EQ(error_text([&] { compose(score, weight); }),
            "[compose] outer program: expected a weight_mod, got score_mod");
  EXPECT_EQ(error_text([&] { compose({}, weight); }),
            "[compose] outer program: expected a weight_mod, got an empty Program");
  EXPECT_EQ(error_text([&] { compose(weight, {}); }),
            "[compose] inner program: expected a score_mod or weight_mod, got an empty Program");
}

}  // namespace
}  // namespace fovea
