// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>
#include "unit/cpu/simd_harness.h"

namespace fovea::cpu {
namespace {

constexpr float kGuard = 777.0f;

class Microkernel : public ::testing::TestWithParam<NamedSimd> {
 protected:
  const SimdEntry& entry() const { return *GetParam().entry; }
};
INSTANTIATE_TEST_SUITE_P(Isa, Microkernel, ::testing::ValuesIn(all_simd()),
                         [](const auto& test) { return test.param.name; });

std::vector<float> random_floats(std::size_t count, uint64_t seed) {
  const Random random(seed);
  std::vector<float> data(count);
  for (std::size_t i = 0; i < count; ++i) data[i] = random.normal(i);
  return data;
}

// B as panels; C is right and nothing else is written, for every number of rows, whole or transposed A,
// any first vector.
TEST_P(Microkernel, EveryBlock) {
  const int64_t width = entry().block_columns, lanes = entry().lanes;
  const int64_t per_panel = width / lanes, panels = 3, columns = panels * width;
  for (const int64_t k : {1, 2, 5, 64}) {
    const auto b = random_floats(static_cast<std::size_t>(k * columns), 2);
    for (int64_t rows = 1; rows <= 32; ++rows) {
      for (const bool transposed : {false, true}) {
        const int64_t a_row = transposed ? 1 : k + 3, a_k = transposed ? rows + 2 : 1;
        const auto a = random_floats(static_cast<std::size_t>((rows + 2) * (k + 3)), 3);
        const int64_t first = rows % (per_panel + 2);
        const int64_t vectors = 1 + (rows * 7 + k) % (panels * per_panel - first);
        const int64_t c_row = vectors * lanes + 5;
        for (const bool add : {false, true}) {
          std::vector<float> c(static_cast<std::size_t>(rows * c_row), kGuard);
          entry().multiply(add, rows, k, first, vectors, a.data(), a_row, a_k, b.data(), width,
                           k * width, c.data(), c_row);
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < c_row; ++j) {
              const int64_t column = first * lanes + j;
              double expected = static_cast<double>(kGuard);
              if (j < vectors * lanes) {
                double sum = 0;
                for (int64_t x = 0; x < k; ++x) {
                  sum += static_cast<double>(a[static_cast<std::size_t>(i * a_row + x * a_k)]) *
                         static_cast<double>(b[static_cast<std::size_t>(
                             column / width * k * width + x * width + column % width)]);
                }
                expected = add ? expected + sum : sum;
              }
              const auto got = static_cast<double>(c[static_cast<std::size_t>(i * c_row + j)]);
              ASSERT_NEAR(got, expected, 2e-4 * (add ? 1 : 0.1))
                  << rows << " rows, k " << k << ", element " << i << ", " << j;
            }
          }
        }
      }
    }
  }
}

// Each element alone, in any block, is the same sum in the same order.
TEST_P(Microkernel, SameBitsInAnyBlock) {
  const int64_t width = entry().block_columns, k = 77, rows = 29;
  const auto a = random_floats(static_cast<std::size_t>(rows * k), 4);
  const auto b = random_floats(static_cast<std::size_t>(k * width), 5);
  std::vector<float> whole(static_cast<std::size_t>(rows * width));
  const int64_t vectors = width / entry().lanes;
  entry().multiply(false, rows, k, 0, vectors, a.data(), k, 1, b.data(), width, 0, whole.data(),
                   width);
  for (int64_t count = 1; count <= 14; ++count) {
    for (int64_t v = 0; v < vectors; ++v) {
      const int64_t first = (count * 5) % (rows - count);
      std::vector<float> part(static_cast<std::size_t>(count * entry().lanes));
      entry().multiply(false, count, k, v, 1, a.data() + first * k, k, 1, b.data(), width, 0,
                       part.data(), entry().lanes);
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < entry().lanes; ++j) {
          ASSERT_EQ(part[static_cast<std::size_t>(i * entry().lanes + j)],
                    whole[static_cast<std::size_t>((first + i) * width + v * entry().lanes + j)]);
        }
      }
    }
  }
}

// B in place: rows of any distance, the panels side by side.
TEST_P(Microkernel, RowsOfBAtADistance) {
  const int64_t width = entry().block_columns, lanes = entry().lanes, k = 9, rows = 11;
  const int64_t columns = width + 2 * lanes, b_k = columns + 3;
  const auto a = random_floats(static_cast<std::size_t>(rows * k), 6);
  const auto b = random_floats(static_cast<std::size_t>(k * b_k), 7);
  std::vector<float> c(static_cast<std::size_t>(rows * columns));
  entry().multiply(false, rows, k, 0, columns / lanes, a.data(), k, 1, b.data(), b_k, width,
                   c.data(), columns);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (int64_t x = 0; x < k; ++x) {
        sum += static_cast<double>(a[static_cast<std::size_t>(i * k + x)]) *
               static_cast<double>(b[static_cast<std::size_t>(x * b_k + j)]);
      }
      ASSERT_NEAR(static_cast<double>(c[static_cast<std::size_t>(i * columns + j)]), sum, 1e-5);
    }
  }
}

}  // namespace
}  // namespace fovea::cpu
