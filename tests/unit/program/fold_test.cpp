// SPDX-License-Identifier: Apache-2.0
#include "program/fold.h"

#include <array>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace fovea::program {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

Literal fold_all(Op op, std::initializer_list<Literal> args, uint64_t& fault) {
  return fold(op, std::span(args.begin(), args.size()), fault);
}

int64_t ints(Op op, int64_t a, int64_t b) {
  uint64_t fault = 0;
  const Literal result = fold_all(op, {make_int(a), make_int(b)}, fault);
  EXPECT_EQ(fault, 0u);
  return result.i;
}

double floats(Op op, double a, double b) {
  uint64_t fault = 0;
  return fold_all(op, {make_float(a), make_float(b)}, fault).f;
}

double floats(Op op, double a) {
  uint64_t fault = 0;
  return fold_all(op, {make_float(a)}, fault).f;
}

bool has_fault(Op op, std::initializer_list<int64_t> args) {
  std::vector<Literal> literals;
  for (const int64_t arg : args) literals.push_back(make_int(arg));
  uint64_t fault = 0;
  fold(op, literals, fault);
  return fault != 0;
}

TEST(Fold, IntegerDivisionFloors) {
  for (int64_t a = -7; a <= 7; ++a) {
    for (const int64_t b : {-3, -2, -1, 1, 2, 3}) {
      const auto quotient =
          static_cast<int64_t>(std::floor(static_cast<double>(a) / static_cast<double>(b)));
      EXPECT_EQ(ints(Op::floor_div, a, b), quotient) << a << " / " << b;
      EXPECT_EQ(ints(Op::mod, a, b), a - quotient * b) << a << " % " << b;
    }
  }
  EXPECT_EQ(ints(Op::mod, kMin, -1), 0);
}

TEST(Fold, IntegersAreExactIn64Bits) {
  EXPECT_EQ(ints(Op::add, kMax - 1, 1), kMax);
  EXPECT_EQ(ints(Op::sub, kMin + 1, 1), kMin);
  EXPECT_EQ(ints(Op::mul, int64_t{1} << 31, int64_t{1} << 31), int64_t{1} << 62);
  EXPECT_TRUE(has_fault(Op::add, {kMax, 1}));
  EXPECT_TRUE(has_fault(Op::add, {kMin, -1}));
  EXPECT_TRUE(has_fault(Op::sub, {kMin, 1}));
  EXPECT_TRUE(has_fault(Op::sub, {0, kMin}));
  EXPECT_TRUE(has_fault(Op::mul, {kMax, 2}));
  EXPECT_TRUE(has_fault(Op::neg, {kMin}));
  EXPECT_TRUE(has_fault(Op::abs, {kMin}));
  EXPECT_TRUE(has_fault(Op::floor_div, {kMin, -1}));
  EXPECT_TRUE(has_fault(Op::floor_div, {1, 0}));
  EXPECT_TRUE(has_fault(Op::mod, {1, 0}));
  EXPECT_FALSE(has_fault(Op::add, {kMax, kMin}));
  EXPECT_FALSE(has_fault(Op::sub, {-1, kMin}));
}

TEST(Fold, Shifts) {
  EXPECT_EQ(ints(Op::shift_left, 3, 4), 48);
  EXPECT_EQ(ints(Op::shift_left, -1, 63), kMin);
  EXPECT_EQ(ints(Op::shift_right, -5, 1), -3);
  EXPECT_EQ(ints(Op::shift_right, -5, 63), -1);
  EXPECT_TRUE(has_fault(Op::shift_left, {1, 63}));
  EXPECT_TRUE(has_fault(Op::shift_left, {1, 64}));
  EXPECT_TRUE(has_fault(Op::shift_right, {1, -1}));
}

TEST(Fold, PhiloxTakesOperandsModulo32Bits) {
  const auto philox = [](int64_t key, int64_t a, int64_t b) {
    uint64_t fault = 0;
    const Literal bits = fold_all(Op::philox, {make_int(key), make_int(a), make_int(b)}, fault);
    EXPECT_EQ(fault, 0u);
    EXPECT_EQ(bits.type, ScalarType::i32);
    return bits.i;
  };
  EXPECT_EQ(philox(0, 0, 0), static_cast<int32_t>(0xff1dae59));
  EXPECT_EQ(philox(-1, -1, -1), 0x2c3f628b);
  EXPECT_EQ(philox(0x13198a2e, 0x243f6a88, 0x85a308d3), static_cast<int32_t>(0xdd7ce038));
  EXPECT_EQ(philox(0x13198a2e, 0x243f6a88, 0x85a308d3 - (int64_t{7} << 32)),
            static_cast<int32_t>(0xdd7ce038));
  EXPECT_EQ(philox(kMin, kMax, kMin + 5), philox(0, -1, 5));
}

TEST(Fold, FloatRemainderHasTheSignOfTheDivisor) {
  EXPECT_EQ(floats(Op::mod, 5.5, 2), 1.5);
  EXPECT_EQ(floats(Op::mod, -5.5, 2), 0.5);
  EXPECT_EQ(floats(Op::mod, 5.5, -2), -0.5);
  EXPECT_EQ(floats(Op::mod, -5.5, -2), -1.5);
  EXPECT_TRUE(std::isnan(floats(Op::mod, 1, 0)));
  EXPECT_TRUE(std::isnan(floats(Op::mod, HUGE_VAL, 2)));
}

TEST(Fold, MinAndMaxPropagateNan) {
  for (const Op op : {Op::min, Op::max}) {
    EXPECT_TRUE(std::isnan(floats(op, NAN, 1)));
    EXPECT_TRUE(std::isnan(floats(op, 1, NAN)));
  }
  EXPECT_EQ(floats(Op::min, -HUGE_VAL, 1), -HUGE_VAL);
  EXPECT_EQ(floats(Op::max, -HUGE_VAL, 1), 1);
}

TEST(Fold, RoundsHalfToEven) {
  EXPECT_EQ(floats(Op::round, 0.5), 0);
  EXPECT_EQ(floats(Op::round, 1.5), 2);
  EXPECT_EQ(floats(Op::round, 2.5), 2);
  EXPECT_EQ(floats(Op::round, -2.5), -2);
  EXPECT_EQ(floats(Op::round, -3.5), -4);
  EXPECT_EQ(floats(Op::round, 0.49999999999999994), 0);
  EXPECT_EQ(floats(Op::round, HUGE_VAL), HUGE_VAL);
  EXPECT_TRUE(std::signbit(floats(Op::round, -0.5)));
  EXPECT_TRUE(std::isnan(floats(Op::round, NAN)));
}

TEST(Fold, ToIntTruncatesAndIsZeroWhereThereIsNoInteger) {
  EXPECT_EQ(fold_to_int(-2.9), -2);
  EXPECT_EQ(fold_to_int(2.9), 2);
  EXPECT_EQ(fold_to_int(NAN), 0);
  EXPECT_EQ(fold_to_int(HUGE_VAL), 0);
  EXPECT_EQ(fold_to_int(9223372036854775808.0), 0);
  EXPECT_EQ(fold_to_int(-9223372036854775808.0), kMin);
  EXPECT_TRUE(fold_to_bool(NAN));
  EXPECT_FALSE(fold_to_bool(-0.0));
}

TEST(Fold, Functions) {
  EXPECT_EQ(floats(Op::sigmoid, 0), 0.5);
  EXPECT_EQ(floats(Op::sigmoid, -1000), 0);
  EXPECT_EQ(floats(Op::rsqrt, 4), 0.5);
  EXPECT_EQ(floats(Op::pow, 2, 10), 1024);
  EXPECT_EQ(floats(Op::exp2, -1), 0.5);
  EXPECT_EQ(floats(Op::log2, 8), 3);
  EXPECT_EQ(floats(Op::div, 1, 0), HUGE_VAL);
}

TEST(Fold, ComparisonsOfNanAreFalseButNotEqual) {
  uint64_t fault = 0;
  const auto compare = [&fault](Op op) {
    return fold_all(op, {make_float(NAN), make_float(NAN)}, fault).i;
  };
  EXPECT_EQ(compare(Op::eq), 0);
  EXPECT_EQ(compare(Op::lt), 0);
  EXPECT_EQ(compare(Op::le), 0);
  EXPECT_EQ(compare(Op::ne), 1);
}

TEST(Fold, BitOperationsKeepBools) {
  uint64_t fault = 0;
  const Literal both = fold_all(Op::bit_xor, {make_bool(true), make_bool(true)}, fault);
  EXPECT_EQ(both.type, ScalarType::boolean);
  EXPECT_EQ(both.i, 0);
  EXPECT_EQ(ints(Op::bit_xor, -1, 5), ~int64_t{5});
}

}  // namespace
}  // namespace fovea::program
