// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "analysis/interval_float.h"
#include "analysis/interval_int.h"
#include "analysis/known_bits.h"
#include "program/fold.h"

namespace fovea::analysis {
namespace {

using program::Fold;
using program::Op;

constexpr int64_t kMost = 7;

std::vector<IntRange> small_ranges() {
  std::vector<IntRange> ranges;
  for (int64_t lo = -kMost; lo <= kMost; ++lo) {
    for (int64_t hi = lo; hi <= kMost; ++hi) ranges.push_back({lo, hi});
  }
  return ranges;
}

// The hull of f over all pairs that have a value; nothing if none has.
template <class F>
std::optional<IntRange> hull_of(IntRange a, IntRange b, F&& f) {
  std::optional<IntRange> hull;
  for (int64_t x = a.lo; x <= a.hi; ++x) {
    for (int64_t y = b.lo; y <= b.hi; ++y) {
      uint64_t fault = 0;
      const auto value = static_cast<int64_t>(f(x, y, fault));
      if (fault != 0) continue;
      hull = hull ? interval::hull(*hull, {value, value}) : IntRange{value, value};
    }
  }
  return hull;
}

enum class Tight { exact, sound };

// `exact`: the rule is the hull whenever every pair has a value.
using Rule = IntRange (*)(IntRange, IntRange);

template <class F>
void check_binary(const char* name, Tight tight, Rule rule, F&& f) {
  for (const IntRange a : small_ranges()) {
    for (const IntRange b : small_ranges()) {
      const auto hull = hull_of(a, b, f);
      if (!hull) continue;
      const IntRange got = rule(a, b);
      ASSERT_TRUE(got.lo <= hull->lo && got.hi >= hull->hi)
          << name << " of [" << a.lo << ", " << a.hi << "] and [" << b.lo << ", " << b.hi << "]: ["
          << got.lo << ", " << got.hi << "] misses [" << hull->lo << ", " << hull->hi << "]";
      if (tight == Tight::sound) continue;
      ASSERT_TRUE(got.lo == hull->lo && got.hi == hull->hi)
          << name << " of [" << a.lo << ", " << a.hi << "] and [" << b.lo << ", " << b.hi << "]: ["
          << got.lo << ", " << got.hi << "] is wider than [" << hull->lo << ", " << hull->hi << "]";
    }
  }
}

TEST(IntInterval, ArithmeticIsExact) {
  check_binary("+", Tight::exact, interval::add, Fold<Op::add>::ints);
  check_binary("-", Tight::exact, interval::sub, Fold<Op::sub>::ints);
  check_binary("*", Tight::exact, interval::mul, Fold<Op::mul>::ints);
  check_binary("min", Tight::exact, interval::min, Fold<Op::min>::ints);
  check_binary("max", Tight::exact, interval::max, Fold<Op::max>::ints);
  check_binary(
      "neg", Tight::exact, [](IntRange a, IntRange) { return interval::neg(a); },
      [](int64_t a, int64_t, uint64_t& fault) { return Fold<Op::neg>::ints(a, fault); });
  check_binary(
      "abs", Tight::exact, [](IntRange a, IntRange) { return interval::abs(a); },
      [](int64_t a, int64_t, uint64_t& fault) { return Fold<Op::abs>::ints(a, fault); });
  check_binary(
      "~", Tight::exact, [](IntRange a, IntRange) { return interval::bit_not(a); },
      [](int64_t a, int64_t, uint64_t& fault) { return Fold<Op::bit_not>::ints(a, fault); });
}

TEST(IntInterval, ComparisonsAreExact) {
  check_binary(
      "<", Tight::exact, [](IntRange a, IntRange b) { return interval::lt(a, b); },
      [](int64_t a, int64_t b, uint64_t&) { return a < b; });
  check_binary(
      "<=", Tight::exact, [](IntRange a, IntRange b) { return interval::le(a, b); },
      [](int64_t a, int64_t b, uint64_t&) { return a <= b; });
  check_binary(
      "==", Tight::exact, [](IntRange a, IntRange b) { return interval::eq(a, b); },
      [](int64_t a, int64_t b, uint64_t&) { return a == b; });
  check_binary(
      "to_bool", Tight::exact, [](IntRange a, IntRange) { return interval::to_bool(a); },
      [](int64_t a, int64_t, uint64_t&) { return a != 0; });
}

TEST(IntInterval, DivisionIsExactUnlessTheDivisorMayBeZero) {
  const auto has_zero = [](IntRange b) { return b.lo <= 0 && b.hi >= 0; };
  check_binary(
      "/", Tight::sound, [](IntRange a, IntRange b) { return interval::floor_div(a, b); },
      Fold<Op::floor_div>::ints);
  check_binary("%", Tight::sound, interval::mod, Fold<Op::mod>::ints);
  for (const IntRange a : small_ranges()) {
    for (const IntRange b : small_ranges()) {
      if (has_zero(b)) {
        EXPECT_FALSE(interval::floor_div(a, b).is_bounded());
        continue;
      }
      const auto hull = hull_of(a, b, Fold<Op::floor_div>::ints);
      const IntRange got = interval::floor_div(a, b);
      ASSERT_TRUE(got.lo == hull->lo && got.hi == hull->hi)
          << "[" << a.lo << ", " << a.hi << "] / [" << b.lo << ", " << b.hi << "]";
    }
  }
}

TEST(IntInterval, RemainderIsExactWithinAPeriod) {
  for (int64_t divisor = 1; divisor <= kMost; ++divisor) {
    for (const IntRange a : small_ranges()) {
      const IntRange got = interval::mod_by(a, divisor);
      const auto hull = hull_of(a, {divisor, divisor}, Fold<Op::mod>::ints);
      ASSERT_TRUE(got.lo == hull->lo && got.hi == hull->hi)
          << a.lo << ".." << a.hi << " % " << divisor;
      if ((divisor & (divisor - 1)) != 0) continue;
      const IntRange low = interval::low_bits(a, divisor);
      ASSERT_TRUE(low.lo == got.lo && low.hi == got.hi);
    }
  }
}

TEST(IntInterval, BitsAreSound) {
  check_binary("&", Tight::sound, interval::bit_and, Fold<Op::bit_and>::ints);
  check_binary("|", Tight::sound, interval::bit_or, Fold<Op::bit_or>::ints);
  check_binary("^", Tight::sound, interval::bit_xor, Fold<Op::bit_xor>::ints);
  check_binary("<<", Tight::sound, interval::shift_left, Fold<Op::shift_left>::ints);
  check_binary(">>", Tight::sound, interval::shift_right, Fold<Op::shift_right>::ints);
  check_binary(
      "& of bits", Tight::sound,
      [](IntRange a, IntRange b) {
        return known_bits::bit_and(KnownBits::of(a), KnownBits::of(b)).range();
      },
      Fold<Op::bit_and>::ints);
  check_binary(
      "| of bits", Tight::sound,
      [](IntRange a, IntRange b) {
        return known_bits::bit_or(KnownBits::of(a), KnownBits::of(b)).range();
      },
      Fold<Op::bit_or>::ints);
  check_binary(
      "^ of bits", Tight::sound,
      [](IntRange a, IntRange b) {
        return known_bits::bit_xor(KnownBits::of(a), KnownBits::of(b)).range();
      },
      Fold<Op::bit_xor>::ints);
  check_binary(
      "<< of bits", Tight::sound,
      [](IntRange a, IntRange b) { return known_bits::shift_left(KnownBits::of(a), b).range(); },
      Fold<Op::shift_left>::ints);
  check_binary(
      ">> of bits", Tight::sound,
      [](IntRange a, IntRange b) { return known_bits::shift_right(KnownBits::of(a), b).range(); },
      Fold<Op::shift_right>::ints);
}

TEST(IntInterval, KnownBitsSeparateCoordinates) {
  // x = 16 .. 31: the even bits of x are known down to bit 4.
  const KnownBits x = KnownBits::of({16, 31});
  const KnownBits even = known_bits::bit_and(x, KnownBits::of({0x55, 0x55}));
  EXPECT_EQ(even.value, 16);
  EXPECT_EQ(even.unknown, 5);
  const KnownBits moved = known_bits::bit_or(even, known_bits::shift_right(even, {1, 1}));
  EXPECT_EQ(known_bits::bit_and(moved, KnownBits::of({0x33, 0x33})).unknown, 3);
}

TEST(IntInterval, EndsBeyondTheLimitAreUnbounded) {
  const int64_t far = interval::kExactLimit - 1;
  const IntRange big{far, far};
  EXPECT_EQ(interval::add(big, {1, 1}).hi, kUnbounded);
  EXPECT_EQ(interval::add(big, {1, 1}).lo, far);  // still a lower bound
  EXPECT_EQ(interval::add(kAnyInt, kAnyInt).lo, -kUnbounded);
  EXPECT_EQ(interval::add(kAnyInt, kAnyInt).hi, kUnbounded);
  EXPECT_EQ(interval::sub(kAnyInt, big).lo, -kUnbounded);
  EXPECT_EQ(interval::sub(kAnyInt, big).hi, kUnbounded);
  EXPECT_EQ(interval::mul(big, big).hi, kUnbounded);
  EXPECT_EQ(interval::mul(big, {-1, 1}).lo, -far);
  EXPECT_EQ(interval::mul(kAnyInt, {0, 0}).hi, 0);
  EXPECT_EQ(interval::neg(kAnyInt).lo, -kUnbounded);
  EXPECT_EQ(interval::floor_div_by(kAnyInt, 1000).hi, kUnbounded);
  EXPECT_EQ(interval::shift_down(kAnyInt, 20).lo, -kUnbounded);
  EXPECT_EQ(interval::shift_right(kAnyInt, {20, 20}).hi, kUnbounded);
  EXPECT_EQ(interval::floor_div(IntRange{5, 9}, IntRange{1, kUnbounded}).lo, 0);
  EXPECT_EQ(interval::floor_div(IntRange{-5, 9}, IntRange{2, kUnbounded}).lo, -3);
  EXPECT_EQ(interval::mod_by(kAnyInt, 10).hi, 9);
  EXPECT_EQ(interval::lt(kAnyInt, kAnyInt).lo, 0);
  EXPECT_EQ(interval::le(kAnyInt, {0, kUnbounded}).hi, 1);
  EXPECT_EQ(interval::max(kAnyInt, {0, 0}).lo, 0);
}

FloatRange floats(double lo, double hi, bool nan = false) { return {lo, hi, nan}; }

TEST(FloatInterval, InfinitiesAndNan) {
  constexpr double kInf = interval::kInfinity;
  EXPECT_TRUE(interval::sub(floats(1, kInf), floats(1, kInf)).nan);
  EXPECT_FALSE(interval::add(floats(1, kInf), floats(1, kInf)).nan);
  EXPECT_TRUE(interval::mul(floats(0, 1), floats(1, kInf)).nan);
  EXPECT_FALSE(interval::mul(floats(2, 3), floats(1, kInf)).nan);
  EXPECT_TRUE(interval::div(floats(1, 2), floats(-1, 1)).nan);
  EXPECT_EQ(interval::div(floats(1, 2), floats(2, 4)).lo, 0.25);
  EXPECT_EQ(interval::div(floats(1, 2), floats(2, 4)).hi, 1);
  EXPECT_TRUE(interval::sqrt(floats(-1, 4)).nan);
  EXPECT_EQ(interval::sqrt(floats(-1, 4)).hi, 2);
  EXPECT_TRUE(interval::wave(floats(0, kInf)).nan);
}

TEST(FloatInterval, NanLeavesComparisonsOpen) {
  const FloatRange maybe = floats(1, 2, true);
  const FloatRange above = floats(5, 6);
  for (const IntRange open : {interval::lt(maybe, above), interval::le(maybe, above),
                              interval::eq(maybe, above), interval::eq(above, maybe)}) {
    EXPECT_EQ(open.lo, 0);
    EXPECT_EQ(open.hi, 1);
  }
  EXPECT_EQ(interval::lt(floats(1, 2), above).lo, 1);
  EXPECT_EQ(interval::to_bool(maybe).lo, 1);  // NaN differs from 0
  EXPECT_EQ(interval::to_bool(floats(0, 0, true)).hi, 1);
}

TEST(FloatInterval, Conversions) {
  EXPECT_EQ(interval::to_f32(IntRange{-3, 4}).lo, -3);
  EXPECT_EQ(interval::to_f32(kAnyInt).hi, interval::kInfinity);
  EXPECT_EQ(interval::to_i32(FloatRange{-2.7, 3.9}).lo, -2);
  EXPECT_EQ(interval::to_i32(FloatRange{-2.7, 3.9}).hi, 3);
  EXPECT_FALSE(interval::to_i32(FloatRange{5, 1e30}).is_bounded());  // 1e30 becomes 0
  EXPECT_FALSE(interval::to_i32(FloatRange{5, 6, true}).is_bounded());
}

TEST(FloatInterval, PowersOfNegativeBases) {
  const FloatRange square = interval::pow(floats(-3, 2), floats(2, 2));
  EXPECT_LE(square.lo, 0);
  EXPECT_NEAR(square.hi, 9, 1e-9);
  const FloatRange cube = interval::pow(floats(-3, 2), floats(3, 3));
  EXPECT_NEAR(cube.lo, -27, 1e-9);
  EXPECT_NEAR(cube.hi, 8, 1e-9);
  EXPECT_TRUE(interval::pow(floats(-3, 2), floats(0.5, 0.5)).nan);
}

}  // namespace
}  // namespace fovea::analysis
