// SPDX-License-Identifier: Apache-2.0
// PyTorch's type rules where they are more than a promotion; tests/python compares them with torch itself.
#include <cmath>
#include <cstdint>
#include <functional>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "error/program/error_text.h"
#include "program/interpret.h"

namespace fovea {
namespace {

using program::interpret;
using test::error_text;

// A mod whose result is any number, as a float.
template <class F>
double at(int64_t q, int64_t kv, F&& mod) {
  const Program program = score_mod(
      [&](auto, auto, auto, auto i, auto j) { return to_float(mod(Value(i), Value(j))); });
  return interpret(program, {.q = q, .kv = kv}).f;
}

template <class F>
std::string error_of(F&& mod) {
  return error_text(
      [&] { score_mod([&](auto, auto, auto, auto q, auto kv) { return to_float(mod(q, kv)); }); });
}

TEST(Promotion, ArithmeticOfBoolsIsLogic) {
  for (int64_t q = 0; q < 2; ++q) {
    for (int64_t kv = 0; kv < 2; ++kv) {
      const auto bools = [&](auto combine) {
        const Program program = mask_mod([&](auto, auto, auto i, auto j) {
          const Value result = combine(i == 1, j == 1);
          EXPECT_EQ(result.type(), ScalarType::boolean);
          return result;
        });
        return interpret(program, {.q = q, .kv = kv}).i;
      };
      const auto min_of = [](const Value& a, const Value& b) { return min(a, b); };
      const auto max_of = [](const Value& a, const Value& b) { return max(a, b); };
      EXPECT_EQ(bools([](auto a, auto b) { return a + b; }), q | kv);
      EXPECT_EQ(bools([](auto a, auto b) { return a * b; }), q & kv);
      EXPECT_EQ(bools(max_of), q | kv);
      EXPECT_EQ(bools(min_of), q & kv);
    }
  }
  EXPECT_EQ(at(5, 5, [](auto q, auto kv) { return (q == kv) + q; }), 6);
  EXPECT_EQ(at(5, 5, [](auto q, auto kv) { return (q == kv) * 0.5; }), 0.5);
}

TEST(Promotion, BoolsThatAreRefused) {
  const std::string expected =
      ": expected numbers (to_int makes one of a bool, ! inverts it), got ";
  const auto is = [](auto q, auto kv) { return q == kv; };
  EXPECT_EQ(error_of([&](auto q, auto kv) { return is(q, kv) - is(q, kv); }),
            "[trace] operands of -" + expected + "bool, bool");
  EXPECT_EQ(error_of([&](auto q, auto kv) { return 1 - is(q, kv); }),
            "[trace] operands of -" + expected + "i32, bool");
  EXPECT_EQ(error_of([&](auto q, auto kv) { return -is(q, kv); }),
            "[trace] operand of -" + expected + "bool");
  EXPECT_EQ(error_of([&](auto q, auto kv) { return is(q, kv) / is(q, kv); }),
            "[trace] operands of /" + expected + "bool, bool");
  EXPECT_EQ(error_of([&](auto q, auto kv) { return is(q, kv) % is(q, kv); }),
            "[trace] operands of %" + expected + "bool, bool");
  EXPECT_EQ(error_of([&](auto q, auto kv) { return is(q, kv) << is(q, kv); }),
            "[trace] operands of <<" + expected + "bool, bool");
  EXPECT_EQ(error_of([&](auto q, auto kv) { return abs(is(q, kv)); }),
            "[trace] operand of abs" + expected + "bool");
  EXPECT_EQ(error_of([&](auto q, auto kv) { return round(is(q, kv)); }),
            "[trace] operand of round" + expected + "bool");
  EXPECT_EQ(error_of([&](auto q, auto kv) { return pow(is(q, kv), is(q, kv)); }),
            "[trace] operands of pow" + expected + "bool, bool");
}

TEST(Promotion, RoundingLeavesIntegersAlone) {
  score_mod([](auto s, auto, auto, auto q, auto) {
    EXPECT_EQ(floor(q).type(), ScalarType::i32);
    EXPECT_EQ(ceil(q).type(), ScalarType::i32);
    EXPECT_EQ(trunc(q).type(), ScalarType::i32);
    EXPECT_EQ(round(q).type(), ScalarType::i32);
    EXPECT_EQ(floor(s).type(), ScalarType::f32);
    return s;
  });
  EXPECT_EQ(at(-7, 0, [](auto q, auto) { return floor(q) / 2; }), -4);
}

TEST(Promotion, PowersOfIntegersAreIntegers) {
  const int64_t big = 1'000'000'007;  // whose square a float cannot hold
  const Program square = mask_mod([](auto, auto, auto q, auto kv) {
    EXPECT_EQ(pow(q, 2).type(), ScalarType::i32);
    return pow(q, 2) == kv;
  });
  EXPECT_EQ(interpret(square, {.q = big, .kv = big * big}).i, 1);
  EXPECT_EQ(interpret(square, {.q = big, .kv = big * big + 1}).i, 0);
  EXPECT_EQ(at(-3, 0, [](auto q, auto) { return pow(q, 5); }), -243);
  EXPECT_EQ(at(-3, 0, [](auto q, auto) { return pow(q, 1); }), -3);
  EXPECT_EQ(at(-3, 0, [](auto q, auto) { return pow(q, 0); }), 1);
  EXPECT_EQ(at(11, 0, [](auto q, auto) { return pow(2, q); }), 2048);
  EXPECT_EQ(at(5, 0, [](auto q, auto) { return pow(q, 0.5); }), std::sqrt(5.0));
  EXPECT_EQ(error_of([](auto q, auto kv) { return pow(q, kv); }),
            "[trace] exponent of a power of integers: expected a literal, or 2 as the base "
            "(to_float(base) makes a float of it), got a value");
  EXPECT_EQ(error_of([](auto q, auto) { return pow(q, -1); }),
            "[trace] exponent of a power of integers: expected 0 to 62, got -1");
}

TEST(Promotion, FloorDivideOfFloats) {
  for (const double a : {7.5, -7.5, 6.0, -6.0, 0.0, 1e9}) {
    for (const double b : {2.0, -2.0, 2.5, -0.75}) {
      EXPECT_EQ(at(0, 0, [&](auto q, auto) { return floor_divide(q + a, b); }), std::floor(a / b))
          << a << " // " << b;
    }
  }
  EXPECT_EQ(at(3, 0, [](auto q, auto kv) { return floor_divide(q * 1.0, kv * 1.0); }), INFINITY);
  EXPECT_EQ(at(-3, 2, [](auto q, auto kv) { return floor_divide(q, kv); }), -2);
}

TEST(Promotion, FmodHasTheSignOfTheDividend) {
  for (const int64_t a : {7, -7, 6, 0}) {
    for (const int64_t b : {4, -4, 3}) {
      const auto expected = static_cast<double>(a % b);
      EXPECT_EQ(at(a, b, [](auto q, auto kv) { return fmod(q, kv); }), expected);
      EXPECT_EQ(at(a, b, [](auto q, auto kv) { return fmod(q * 1.5, kv * 1.0); }),
                std::fmod(static_cast<double>(a) * 1.5, static_cast<double>(b)));
    }
  }
}

TEST(Promotion, Sign) {
  for (const int64_t q : {-9, 0, 4}) {
    const double expected = q < 0 ? -1 : q > 0 ? 1 : 0;
    EXPECT_EQ(at(q, 0, [](auto x, auto) { return sign(x); }), expected);
    EXPECT_EQ(at(q, 0, [](auto x, auto) { return sign(x * 0.5); }), expected);
  }
  EXPECT_TRUE(std::isnan(at(0, 0, [](auto x, auto) { return sign(x / 0.0); })));
}

}  // namespace
}  // namespace fovea
