// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include <fovea/random.h>
#include <fovea/vector.h>
#include "error/program/error_text.h"
#include "program/interpret.h"

namespace fovea {
namespace {

using program::interpret;
using test::error_text;

class VectorTest : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 5, kSize = 7;
  VectorTest() {
    for (std::size_t i = 0; i < floats_.size(); ++i) {
      floats_[i] = Random(1).normal(i);
      ints_[i] = static_cast<int32_t>(Random(2).below(i, 9)) - 4;
    }
  }
  double f(int64_t row, int64_t i) const {
    return floats_[static_cast<std::size_t>(row * kSize + i)];
  }
  int64_t n(int64_t row, int64_t i) const {
    return ints_[static_cast<std::size_t>(row * kSize + i)];
  }
  template <class F>
  double at(int64_t q, int64_t kv, F&& mod) const {
    const Program program =
        score_mod([&](auto, auto, auto, auto i, auto j) { return to_float(mod(i, j)); });
    return interpret(program, {.q = q, .kv = kv}).f;
  }

  std::array<float, kRows * kSize> floats_{};
  std::array<int32_t, kRows * kSize> ints_{};
  Capture table_ = capture(view(floats_.data(), {kRows, kSize}));
  Capture numbers_ = capture(view(ints_.data(), {kRows, kSize}));
};

TEST_F(VectorTest, ReductionsMatchLoops) {
  for (int64_t q = 0; q < kRows; ++q) {
    for (int64_t kv = 0; kv < kRows; ++kv) {
      double product = 0, sum_of_row = 0, least = 1e9, most = -1e9;
      int64_t count = 0;
      bool some = false, every = true;
      for (int64_t i = 0; i < kSize; ++i) {
        product += f(q, i) * f(kv, i);
        sum_of_row += f(q, i);
        least = std::min(least, f(q, i));
        most = std::max(most, f(q, i));
        count += n(q, i) == n(kv, i) ? 1 : 0;
        some |= n(q, i) == kv;
        every &= n(q, i) != kv;
      }
      EXPECT_NEAR(at(q, kv, [&](auto i, auto j) { return dot(table_.row(i), table_.row(j)); }),
                  product, 1e-12);
      EXPECT_NEAR(at(q, kv, [&](auto i, auto) { return sum(table_.row(i)); }), sum_of_row, 1e-12);
      EXPECT_EQ(at(q, kv, [&](auto i, auto) { return min(table_.row(i)); }), least);
      EXPECT_EQ(at(q, kv, [&](auto i, auto) { return max(table_.row(i)); }), most);
      EXPECT_EQ(at(q, kv, [&](auto i, auto j) { return sum(numbers_.row(i) == numbers_.row(j)); }),
                static_cast<double>(count));
      EXPECT_EQ(at(q, kv, [&](auto i, auto j) { return any(numbers_.row(i) == j); }), some ? 1 : 0);
      EXPECT_EQ(at(q, kv, [&](auto i, auto j) { return all(numbers_.row(i) != j); }),
                every ? 1 : 0);
    }
  }
}

TEST_F(VectorTest, OperatorsGoElementByElement) {
  const auto both = [&](auto op) {
    for (int64_t k = 0; k < kSize; ++k) {
      const double got = at(1, 2, [&](auto i, auto j) {
        return to_float(op(numbers_.row(i), numbers_.row(j) * 3 + 1)[k]);
      });
      const double expected = at(1, 2, [&](auto i, auto j) {
        return to_float(op(numbers_(i, k), numbers_(j, k) * 3 + 1));
      });
      EXPECT_EQ(got, expected) << k;
    }
  };
  both([](const auto& a, const auto& b) { return a + b; });
  both([](const auto& a, const auto& b) { return a - b; });
  both([](const auto& a, const auto& b) { return a * b; });
  both([](const auto& a, const auto& b) { return a / (b * b + 1); });
  both([](const auto& a, const auto& b) { return a == b; });
  both([](const auto& a, const auto& b) { return a != b; });
  both([](const auto& a, const auto& b) { return a < b; });
  both([](const auto& a, const auto& b) { return a <= b; });
  both([](const auto& a, const auto& b) { return a > b; });
  both([](const auto& a, const auto& b) { return a >= b; });
  both([](const auto& a, const auto& b) { return (a & b) | ~a; });
  both([](const auto& a, const auto&) { return -a; });
  both([](const auto& a, const auto& b) { return (a < b) | (b == 4); });
  EXPECT_EQ(at(1, 2,
               [&](auto i, auto) {
                 return sum(map(numbers_.row(i), [](const Value& x) { return x * x; }));
               }),
            at(1, 2, [&](auto i, auto) { return dot(numbers_.row(i), numbers_.row(i)); }));
}

TEST_F(VectorTest, OfNoElements) {
  const Capture none = capture(view(floats_.data(), {kRows, 0}));
  EXPECT_EQ(at(0, 0, [&](auto q, auto) { return sum(none.row(q)); }), 0);
  EXPECT_EQ(at(0, 0, [&](auto q, auto) { return dot(none.row(q), none.row(q)); }), 0);
  EXPECT_EQ(at(0, 0, [&](auto q, auto) { return any(none.row(q)); }), 0);
  EXPECT_EQ(at(0, 0, [&](auto q, auto) { return all(none.row(q)); }), 1);
  EXPECT_EQ(error_text([&] { at(0, 0, [&](auto q, auto) { return min(none.row(q)); }); }),
            "[trace] min of a vector: expected at least 1 element, got 0");
  EXPECT_EQ(error_text([&] { at(0, 0, [&](auto q, auto) { return max(none.row(q)); }); }),
            "[trace] max of a vector: expected at least 1 element, got 0");
}

TEST_F(VectorTest, Errors) {
  const auto error = [&](auto mod) { return error_text([&] { at(0, 0, mod); }); };
  const Capture half = capture(view(floats_.data(), {kRows, 3}));
  EXPECT_EQ(error([&](auto q, auto) { return dot(table_.row(q), half.row(q)); }),
            "[trace] vectors used together must have the same length: expected 7, got 3");
  EXPECT_EQ(
      error([&](auto q, auto) { return sum(table_.row(q, q)); }),
      "[trace] indices of a row must be all but the last: expected 1 (the tensor's rank - 1), "
      "got 2");
  EXPECT_EQ(error([&](auto q, auto) { return table_.row(q)[7]; }),
            "[trace] index of a vector: expected 0 to 6, got 7");
  const std::vector<float> wide(2 * 129);
  const Capture too_wide = capture(view(wide.data(), {2, 129}));
  EXPECT_EQ(error([&](auto q, auto) { return sum(too_wide.row(q)); }),
            "[trace] length of a row of a captured tensor: expected at most 128, got 129");
}

}  // namespace
}  // namespace fovea
