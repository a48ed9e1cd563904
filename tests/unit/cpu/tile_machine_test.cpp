// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "program/interpret.h"
#include "unit/cpu/tile_harness.h"

// Every operation on special values, in every place that an operand can have, against the
// interpreter.
namespace fovea::cpu {
namespace {

using testing::machines;
using testing::NamedMachine;
using testing::run_tile;
using testing::TileShape;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class TileMachine : public ::testing::TestWithParam<NamedMachine> {};
INSTANTIATE_TEST_SUITE_P(Isa, TileMachine, ::testing::ValuesIn(machines()),
                         [](const auto& machine) { return name_of_machine(machine.param); });

std::vector<float> special_values() {
  std::vector<float> values = {0.0f,   -0.0f, 1.0f,       -1.0f,       0.5f,        -0.5f,  1.5f,
                               2.5f,   -2.5f, 3.0f,       -3.0f,       1e-3f,       -1e-3f, 1e-20f,
                               1e-40f, 1e20f, -1e20f,     3e38f,       -3e38f,      kInf,   -kInf,
                               kNaN,   88.5f, -88.5f,     100.f,       -100.f,      127.9f, -126.5f,
                               7.25f,  1e6f,  8388609.0f, -8388609.0f, 0.99999994f, 9.5f};
  for (int i = -20; i <= 20; ++i) values.push_back(static_cast<float>(i) * 0.37f);
  return values;
}

// The f32 operations: a few ulp; anything where f32 overflows or becomes denormal.
bool is_close(float got, double want, double ulps) {
  const auto nearest = static_cast<float>(want);
  if (std::isnan(want)) return std::isnan(got);
  if (std::isinf(nearest) || std::isinf(got)) {
    return got == nearest || std::abs(want) > 3.4028e38 * (1 - 1e-6 * ulps);
  }
  return std::abs(static_cast<double>(got) - want) <= std::abs(want) * ulps * 0x1p-24 + 1.2e-38;
}

using Unary = std::function<Value(Value)>;
using Binary = std::function<Value(Value, Value)>;

struct NamedUnary {
  const char* name;
  Unary run;
  double ulps;
};
struct NamedBinary {
  const char* name;
  Binary run;
  double ulps;
};

double interpreted(const Program& program, double score, int64_t q, int64_t kv) {
  return program::interpret(program, {.score = score, .b = 1, .h = 2, .q = q, .kv = kv}).f;
}

// `mod` on a tile whose scores are scores(i, j); q and kv count from 0.
void check(const NamedMachine& machine, const Program& mod, int64_t rows, int64_t cols,
           const std::function<float(int64_t, int64_t)>& score, double ulps) {
  std::vector<float> scores;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) scores.push_back(score(i, j));
  }
  const TileShape shape{.b = 1, .h = 2, .rows = rows, .cols = cols, .padding = 5};
  const auto got = run_tile(machine, mod, {}, shape, scores);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      const auto k = static_cast<std::size_t>(i * cols + j);
      const double want = interpreted(mod, static_cast<double>(scores[k]), i, j);
      ASSERT_TRUE(is_close(got[k], want, ulps))
          << mod.to_string() << "\nrow " << i << ", column " << j << ", score " << scores[k]
          << ": expected " << want << ", got " << got[k];
    }
  }
}

TEST_P(TileMachine, UnaryFloatOperations) {
  const std::vector<NamedUnary> operations = {
      {"neg", [](Value x) { return -x; }, 0},
      {"abs", [](Value x) { return abs(x); }, 0},
      {"exp", [](Value x) { return exp(x); }, 8},
      {"exp2", [](Value x) { return exp2(x); }, 8},
      {"log", [](Value x) { return log(x); }, 8},
      {"log2", [](Value x) { return log2(x); }, 8},
      {"tanh", [](Value x) { return tanh(x); }, 8},
      {"sigmoid", [](Value x) { return sigmoid(x); }, 8},
      {"sqrt", [](Value x) { return sqrt(x); }, 2},
      {"rsqrt", [](Value x) { return rsqrt(x); }, 4},
      {"floor", [](Value x) { return floor(x); }, 0},
      {"ceil", [](Value x) { return ceil(x); }, 0},
      {"trunc", [](Value x) { return trunc(x); }, 0},
      {"round", [](Value x) { return round(x); }, 0},
      {"to_bool", [](Value x) { return to_float(to_bool(x)); }, 0},
      {"square", [](Value x) { return pow(x, 2); }, 2},
      {"softcap", [](Value x) { return 30.0f * tanh(x / 30.0f); }, 12},
      {"softcap, multiplied", [](Value x) { return tanh(x * 0.125f) * 8.0f; }, 12},
      {"softcap, inverse too large", [](Value x) { return 2.0f * tanh(x / 1e-39f); }, 12},
  };
  const std::vector<float> values = special_values();
  const auto n = static_cast<int64_t>(values.size());
  const auto table = capture(view(values.data(), {n}));
  for (const auto& [name, run, ulps] : operations) {
    SCOPED_TRACE(name);
    check(
        GetParam(),
        score_mod([&, apply = run](auto s, auto, auto, auto, auto) { return apply(s); }), 2, n,
        [&](int64_t, int64_t j) { return values[static_cast<std::size_t>(j)]; }, ulps);
    check(
        GetParam(),
        score_mod([&, apply = run](auto, auto, auto, auto q, auto) { return apply(table[q]); }), n,
        3, [](int64_t, int64_t) { return 0.0f; }, ulps);
    check(
        GetParam(),
        score_mod([&, apply = run](auto, auto, auto h, auto, auto) { return apply(table[h + 5]); }),
        2, 3, [](int64_t, int64_t) { return 0.0f; }, ulps);
  }
}

// libm's functions, away from arguments where f32 cannot know the phase.
TEST_P(TileMachine, FunctionsWithoutVectorForm) {
  const std::vector<NamedUnary> operations = {
      {"sin", [](Value x) { return sin(x); }, 4},
      {"cos", [](Value x) { return cos(x); }, 4},
      {"erf", [](Value x) { return erf(x); }, 4},
      {"pow, fraction", [](Value x) { return pow(abs(x), 2.5f); }, 4},
      {"pow, negative", [](Value x) { return pow(x, -3); }, 4},
  };
  for (const auto& [name, run, ulps] : operations) {
    SCOPED_TRACE(name);
    check(
        GetParam(),
        score_mod([&, apply = run](auto s, auto, auto, auto, auto) { return apply(s); }), 3, 37,
        [](int64_t i, int64_t j) {
          return static_cast<float>(j - 18) * 0.3f + static_cast<float>(i) * 0.01f;
        },
        ulps);
  }
  check(
      GetParam(), score_mod([](auto s, auto, auto, auto, auto) { return erf(s); }), 1, 3,
      [](int64_t, int64_t j) { return j == 0   ? kInf
                                      : j == 1 ? -kInf
                                               : kNaN; }, 2);
}

TEST_P(TileMachine, BinaryFloatOperations) {
  const std::vector<NamedBinary> operations = {
      {"add", [](Value a, Value b) { return a + b; }, 1},
      {"sub", [](Value a, Value b) { return a - b; }, 1},
      {"mul", [](Value a, Value b) { return a * b; }, 1},
      {"div", [](Value a, Value b) { return a / b; }, 1},
      {"min", [](Value a, Value b) { return min(a, b); }, 0},
      {"max", [](Value a, Value b) { return max(a, b); }, 0},
      {"eq", [](Value a, Value b) { return to_float(a == b); }, 0},
      {"ne", [](Value a, Value b) { return to_float(a != b); }, 0},
      {"lt", [](Value a, Value b) { return to_float(a < b); }, 0},
      {"le", [](Value a, Value b) { return to_float(a <= b); }, 0},
      {"gt", [](Value a, Value b) { return to_float(a > b); }, 0},
      {"ge", [](Value a, Value b) { return to_float(a >= b); }, 0},
      {"select eq", [](Value a, Value b) { return where(a == b, a, 7.0f); }, 0},
      {"select ne", [](Value a, Value b) { return where(a != b, b, 7.0f); }, 0},
      {"select lt", [](Value a, Value b) { return where(a < b, a, b); }, 0},
      {"select le", [](Value a, Value b) { return where(a <= b, 3.0f, a); }, 0},
      {"select not lt", [](Value a, Value b) { return where(!(a < b), a, b); }, 0},
      {"select within", [](Value a, Value b) { return where(abs(a - b) <= 1.0f, a, -kInf); }, 0},
  };
  const std::vector<float> values = special_values();
  const auto n = static_cast<int64_t>(values.size());
  const auto table = capture(view(values.data(), {n}));
  const auto as_score = [&](int64_t i, int64_t) { return values[static_cast<std::size_t>(i)]; };
  for (const auto& [name, run, ulps] : operations) {
    SCOPED_TRACE(name);
    // Score and column, column and score, row and column, row and score.
    check(GetParam(), score_mod([&, apply = run](auto s, auto, auto, auto, auto kv) {
            return apply(s, table[kv]);
          }),
          n, n, as_score, ulps);
    check(GetParam(), score_mod([&, apply = run](auto s, auto, auto, auto, auto kv) {
            return apply(table[kv], s);
          }),
          n, n, as_score, ulps);
    check(GetParam(), score_mod([&, apply = run](auto, auto, auto, auto q, auto kv) {
            return apply(table[q], table[kv]);
          }),
          n, n, as_score, ulps);
    check(
        GetParam(), score_mod([&, apply = run](auto s, auto, auto, auto q, auto) {
          return apply(table[q], s);
        }),
        n, 9, [&](int64_t, int64_t j) { return values[static_cast<std::size_t>(j + 15)]; }, ulps);
  }
}

TEST_P(TileMachine, FloatRemainderIsThatOfFloorDivision) {
  const std::vector<float> values = {0.0f, 1.0f,  -1.0f, 2.5f,    -2.5f,
                                     7.0f, -7.0f, 0.75f, 100.25f, -3.0f};
  const auto n = static_cast<int64_t>(values.size());
  const auto table = capture(view(values.data(), {n}));
  check(
      GetParam(), score_mod([&](auto s, auto, auto, auto, auto kv) { return s % table[kv]; }), n, n,
      [&](int64_t i, int64_t) { return values[static_cast<std::size_t>(i)]; }, 0);
}

TEST_P(TileMachine, FusedMultiplications) {
  const std::vector<float> values = {0.0f, 1.0f, -1.0f, 2.5f, -0.75f, 1e10f, -7e-10f, kInf, kNaN};
  const auto n = static_cast<int64_t>(values.size());
  const auto table = capture(view(values.data(), {n}));
  const auto as_score = [&](int64_t i, int64_t) { return values[static_cast<std::size_t>(i)]; };
  for (const auto& run : std::vector<Binary>{[](Value a, Value b) { return a * b + 0.5f; },
                                             [](Value a, Value b) { return 3.0f + a * b; },
                                             [](Value a, Value b) { return a * 0.5f - b; },
                                             [](Value a, Value b) { return b - a * 0.25f; },
                                             [](Value a, Value b) { return a * b + a * a; }}) {
    // The exponents are far apart or the sums exact enough: 4 ulp of the result, or of the product.
    check(GetParam(), score_mod([&, apply = run](auto s, auto, auto, auto, auto kv) {
            return apply(s, table[kv]);
          }),
          n, n, as_score, 4);
  }
}

// Integers are compared exactly: their high and low halves fit an f32.
void check_integers(const NamedMachine& machine, const std::vector<int32_t>& as,
                    const std::vector<int32_t>& bs, const Binary& run,
                    const std::function<bool(int64_t, int64_t)>& is_defined) {
  const auto rows = static_cast<int64_t>(as.size()), cols = static_cast<int64_t>(bs.size());
  const auto a = capture(view(as.data(), {rows}));
  const auto b = capture(view(bs.data(), {cols}));
  const auto result = [&](Value q, Value kv) {
    const Value x = run(a[q], b[kv]);
    return x.type() == ScalarType::boolean ? to_int(x) : x;
  };
  const Program low =
      score_mod([&](auto, auto, auto, auto q, auto kv) { return to_float(result(q, kv) & 65535); });
  const Program high =
      score_mod([&](auto, auto, auto, auto q, auto kv) { return to_float(result(q, kv) >> 16); });
  const std::vector<float> scores(static_cast<std::size_t>(rows * cols));
  const TileShape shape{.b = 1, .h = 2, .rows = rows, .cols = cols};
  for (const Program& program : {low, high}) {
    const auto got = run_tile(machine, program, {}, shape, scores);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        const int64_t x = as[static_cast<std::size_t>(i)], y = bs[static_cast<std::size_t>(j)];
        if (!is_defined(x, y)) continue;
        ASSERT_EQ(static_cast<double>(got[static_cast<std::size_t>(i * cols + j)]),
                  interpreted(program, 0, i, j))
            << program.to_string() << "\na = " << x << ", b = " << y;
      }
    }
  }
}

bool fits(int64_t x) {
  return x >= std::numeric_limits<int32_t>::min() && x <= std::numeric_limits<int32_t>::max();
}

std::vector<int32_t> special_integers() {
  std::vector<int32_t> values = {std::numeric_limits<int32_t>::min(),
                                 std::numeric_limits<int32_t>::max(),
                                 std::numeric_limits<int32_t>::min() + 1,
                                 1 << 30,
                                 -(1 << 30),
                                 65536,
                                 -65536,
                                 46341,
                                 16777217,
                                 -16777217,
                                 999999937,
                                 -999999937};
  for (int32_t i = -17; i <= 17; ++i) values.push_back(i);
  return values;
}

TEST_P(TileMachine, IntegerOperations) {
  const std::vector<int32_t> values = special_integers();
  const auto nonzero = [](int64_t x, int64_t y) { return y != 0 && !(y == -1 && !fits(-x)); };
  const auto always = [](int64_t, int64_t) { return true; };
  const auto& m = GetParam();
  const auto run = [&](const Binary& f, const std::function<bool(int64_t, int64_t)>& is_defined) {
    check_integers(m, values, values, f, is_defined);
  };
  run([](Value a, Value b) { return a + b; }, [](int64_t x, int64_t y) { return fits(x + y); });
  run([](Value a, Value b) { return a - b; }, [](int64_t x, int64_t y) { return fits(x - y); });
  run([](Value a, Value b) { return a * b; }, [](int64_t x, int64_t y) { return fits(x * y); });
  run([](Value a, Value b) { return min(a, b); }, always);
  run([](Value a, Value b) { return max(a, b); }, always);
  run([](Value a, Value b) { return a & b; }, always);
  run([](Value a, Value b) { return a | b; }, always);
  run([](Value a, Value b) { return a ^ b; }, always);
  run([](Value a, Value b) { return ~a + b * 0; }, always);
  run([](Value a, Value b) { return -a + b * 0; }, [](int64_t x, int64_t) { return fits(-x); });
  run([](Value a, Value b) { return abs(a) + b * 0; }, [](int64_t x, int64_t) { return fits(-x); });
  run([](Value a, Value b) { return a / b; }, nonzero);
  run([](Value a, Value b) { return a % b; }, nonzero);
  run([](Value a, Value b) { return a == b; }, always);
  run([](Value a, Value b) { return a != b; }, always);
  run([](Value a, Value b) { return a < b; }, always);
  run([](Value a, Value b) { return a <= b; }, always);
  run([](Value a, Value b) { return where(a > b, a, b); }, always);
  run([](Value a, Value b) { return where(a >= b, a, b); }, always);
  run([](Value a, Value b) { return where(a == b, 1, 2); }, always);
  run([](Value a, Value b) { return where(a != b, a, ~b / 2); }, always);
  run([](Value a, Value b) { return where(abs(a - b) <= 5, a, b); },
      [](int64_t x, int64_t y) { return fits(x - y) && fits(y - x); });
}

TEST_P(TileMachine, ConstantDivisorsAndShifts) {
  const std::vector<int32_t> values = special_integers();
  const auto always = [](int64_t, int64_t) { return true; };
  for (const int64_t d :
       {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{7}, int64_t{64}, int64_t{1000003},
        int64_t{1} << 30, int64_t{2147483647}, int64_t{-2}, int64_t{-5}, int64_t{-2147483647}}) {
    // Both as a row (one divisor for a whole row of lanes) and lane by lane.
    check_integers(GetParam(), values, values, [&](Value a, Value) { return a / d; }, always);
    check_integers(
        GetParam(), values, values, [&](Value a, Value b) { return where(b < 0, a, b) % d; },
        always);
    check_integers(
        GetParam(), values, values, [&](Value a, Value b) { return where(b < 0, a, b) / d; },
        always);
  }
  for (const int count : {0, 1, 5, 31, 40, 63}) {
    const auto left_fits = [&](int64_t x, int64_t) {
      return count < 32 && fits(x * (int64_t{1} << count));
    };
    check_integers(
        GetParam(), values, values, [&](Value a, Value) { return a << count; }, left_fits);
    check_integers(
        GetParam(), values, values, [&](Value a, Value b) { return where(b < 0, a, b) >> count; },
        always);
  }
}

TEST_P(TileMachine, DivisionByZeroGivesZero) {
  const std::vector<int32_t> zeros(16, 0);
  const auto zero = capture(view(zeros.data(), {16}));
  const auto rows =
      score_mod([&](auto, auto, auto, auto q, auto kv) { return to_float((kv + 3) / zero[q]); });
  const auto lanes =
      score_mod([&](auto, auto, auto, auto q, auto kv) { return to_float((q + 3) % zero[kv]); });
  for (const Program& program : {rows, lanes}) {
    for (const float x :
         run_tile(GetParam(), program, {}, {.rows = 3, .cols = 9}, std::vector<float>(27, 1))) {
      EXPECT_EQ(x, 0.0f);
    }
  }
}

TEST_P(TileMachine, ConversionsAndLogic) {
  const auto value = [](int64_t i, int64_t j) {
    const std::vector<float> all = {0.0f,  -0.0f, 0.9f,  -0.9f,         1.0f,
                                    -1.5f, 1e6f,  -1e6f, 2147483520.0f, -2147483648.0f};
    return all[static_cast<std::size_t>((i * 3 + j) % 10)];
  };
  check(GetParam(),
        score_mod([](auto s, auto, auto, auto, auto) { return to_float(to_int(s) / 256); }), 4, 10,
        value, 0);
  check(GetParam(),
        score_mod([](auto s, auto, auto, auto, auto) { return to_float(to_int(s) % 256); }), 4, 10,
        value, 0);
  check(GetParam(), score_mod([](auto s, auto, auto, auto q, auto kv) {
          const Value a = s > 0.0f, b = (q + kv) % 2 == 0;
          return to_float(a && b) + 2 * to_float(a || !b) + 4 * to_float(a ^ b) +
                 8 * to_float(a == b) + 16 * to_float(a < b) + 32 * to_float(a <= b) +
                 64 * to_int(a & b) + 128 * to_int(a | b);
        }),
        4, 10, value, 0);
  check(GetParam(), score_mod([](auto s, auto, auto, auto q, auto kv) {
          return where((q > kv) && s > 0.0f, s,
                       where((q < kv) || s < -1.0f, 2.0f, where(!(q == kv), s, 3.0f)));
        }),
        4, 10, value, 0);
  check(
      GetParam(), score_mod([](auto s, auto b, auto h, auto q, auto kv) {
        return s * 0.0f + to_float(b * 1000 + h * 100 + q * 10 + kv);
      }),
      4, 10, [](int64_t, int64_t) { return 1.0f; }, 0);
}

TEST_P(TileMachine, NaNHasNoInteger) {
  const auto mod = score_mod([](auto s, auto, auto, auto, auto) { return to_float(to_int(s)); });
  EXPECT_EQ(run_tile(GetParam(), mod, {}, {.cols = 2}, {kNaN, -kNaN}), (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace fovea::cpu
