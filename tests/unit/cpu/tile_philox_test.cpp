// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include <fovea/random.h>
#include "unit/cpu/tile_harness.h"

// Random bits on every instruction set, with operands of every shape class, and on the 64-bit path: the same
// as those of philox2x32.
namespace fovea::cpu {
namespace {

using testing::machines;
using testing::NamedMachine;
using testing::run_tile;
using testing::TileOptions;
using testing::TileShape;

class TilePhilox : public ::testing::TestWithParam<NamedMachine> {};
INSTANTIATE_TEST_SUITE_P(Isa, TilePhilox, ::testing::ValuesIn(machines()),
                         [](const auto& machine) { return name_of_machine(machine.param); });

constexpr TileShape kShape{
    .b = 3, .h = 1, .q0 = 40, .rows = 5, .kv0 = 7, .cols = 37, .extra_rows = 2, .padding = 3};

int32_t bits(int64_t key, int64_t a, int64_t b) {
  const auto word = [](int64_t x) { return static_cast<uint32_t>(x); };
  return static_cast<int32_t>(philox2x32({word(a), word(b)}, word(key))[0]);
}

// An operand as a Value and as a number. Shape classes: scalar, row, column, diagonal, tile.
constexpr int kOperands = 5;
Value operand(int which, Value b, Value h, Value q, Value kv) {
  switch (which) {
    case 0: return b * 1000000007 + h;
    case 1: return q - 1000;
    case 2: return kv;
    case 3: return q - kv;
    default: return q * kv;
  }
}
int64_t operand(int which, int64_t q, int64_t kv) {
  switch (which) {
    case 0: return kShape.b * 1000000007 + kShape.h;
    case 1: return q - 1000;
    case 2: return kv;
    case 3: return q - kv;
    default: return q * kv;
  }
}

// An f32 holds half of the bits exactly.
Program half_of(const std::array<int, 3>& which, bool high) {
  return score_mod([=](auto, auto b, auto h, auto q, auto kv) {
    const Value x = random_bits(operand(which[0], b, h, q, kv), operand(which[1], b, h, q, kv),
                                operand(which[2], b, h, q, kv));
    return to_float(high ? x >> 16 : x & 65535);
  });
}

void check(const NamedMachine& machine, const std::array<int, 3>& which,
           const TileOptions& options) {
  const std::vector<float> scores(static_cast<std::size_t>(kShape.rows * kShape.cols));
  const auto low = run_tile(machine, half_of(which, false), {}, kShape, scores, options);
  const auto high = run_tile(machine, half_of(which, true), {}, kShape, scores, options);
  for (int64_t i = 0; i < kShape.rows; ++i) {
    for (int64_t j = 0; j < kShape.cols; ++j) {
      const int64_t q = kShape.q0 + i, kv = kShape.kv0 + j;
      const auto at = static_cast<std::size_t>(i * kShape.cols + j);
      const auto got = static_cast<int64_t>(high[at]) * 65536 + static_cast<int64_t>(low[at]);
      ASSERT_EQ(got,
                bits(operand(which[0], q, kv), operand(which[1], q, kv), operand(which[2], q, kv)))
          << "operands " << which[0] << which[1] << which[2] << " at " << q << ", " << kv;
    }
  }
}

TEST_P(TilePhilox, EqualsPhilox2x32WhereverOperandsCome) {
  for (int key = 0; key < kOperands; ++key) {
    for (int a = 0; a < kOperands; ++a) {
      for (int b = 0; b < kOperands; ++b) check(GetParam(), {key, a, b}, {});
    }
  }
}

TEST_P(TilePhilox, TheSameOnThe64BitPath) {
  check(GetParam(), {0, 1, 2}, {.needs_64_bits = true});
  check(GetParam(), {3, 4, 0}, {.needs_64_bits = true});
}

}  // namespace
}  // namespace fovea::cpu
