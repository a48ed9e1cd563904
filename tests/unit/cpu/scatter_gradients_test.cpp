// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/scatter_gradients.h"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "unit/cpu/tile_harness.h"

namespace fovea::cpu {
namespace {

using analysis::IndexClass;
using testing::joint_of;

std::vector<float> memory(512, 1.0f);

TEST(SumRange, CoversTheElementsOfARectangle) {
  const auto range = [](IndexClass index) { return sum_range(index, 10, 3, 7, 5); };
  EXPECT_EQ(range(IndexClass::scalar).first, 0);
  EXPECT_EQ(range(IndexClass::scalar).count, 1);
  EXPECT_EQ(range(IndexClass::row).first, 10);
  EXPECT_EQ(range(IndexClass::row).count, 3);
  EXPECT_EQ(range(IndexClass::column).first, 7);
  EXPECT_EQ(range(IndexClass::column).count, 5);
  EXPECT_EQ(range(IndexClass::diagonal).first, 7 - 12);
  EXPECT_EQ(range(IndexClass::diagonal).count, 7);
  EXPECT_EQ(range(IndexClass::gathered).count, 0);
  EXPECT_EQ(sum_range(IndexClass::diagonal, 10, 0, 7, 5).count, 0);
}

TEST(GradientScatter, ScalarGoesToItsBatchAndHead) {
  const auto slopes = capture(view(memory.data(), {2, 3}));
  const auto mod = score_mod(
      [=](auto s, auto b, auto h, auto q, auto kv) { return s + slopes[b][h] * to_float(q - kv); });
  std::vector<double> gradient(6, 0.5);
  GradientScatter scatter(joint_of(mod), mod, 0);
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t h = 0; h < 3; ++h) {
      const float sum = static_cast<float>(10 * b + h);
      scatter.add(b, h, 0, std::span(&sum, 1), view(gradient.data(), {2, 3}));
    }
  }
  EXPECT_EQ(gradient, (std::vector<double>{0.5, 1.5, 2.5, 10.5, 11.5, 12.5}));
}

// Several positions share a bucket; the bucket does not depend on the head, the row of the table does.
TEST(GradientScatter, DiagonalsGoToTheirBuckets) {
  const auto table = capture(view(memory.data(), {2, 4}));
  const auto mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
    return s + table[h][clamp((q - kv) / 2 + 1, 0, 3)];
  });
  GradientScatter scatter(joint_of(mod), mod, 0);
  std::vector<float> gradient(8, 0.0f);
  // kv - q from -4 to 4, that is q - kv from 4 to -4: buckets 3 2 2 1 1 0 0 0 0.
  const std::vector<double> sums = {1, 2, 4, 8, 16, 32, 64, 128, 256};
  for (const int64_t h : {1, 0, 1}) {
    scatter.add(0, h, -4, std::span<const double>(sums), view(gradient.data(), {2, 4}));
  }
  const std::vector<float> once = {32 + 64 + 128 + 256, 8 + 16, 2 + 4, 1};
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(gradient[k], once[k]);
    EXPECT_EQ(gradient[4 + k], 2 * once[k]);
  }
  // Another part of the positions.
  scatter.add(0, 0, 3, std::span<const double>(sums).first(1), view(gradient.data(), {2, 4}));
  EXPECT_EQ(gradient[0], once[0] + 1);
}

TEST(GradientScatter, IndicesOutsideOrWithoutValueAreSkipped) {
  std::vector<int64_t> ids = {3, -1, 5, std::numeric_limits<int64_t>::max(), 0, 2};
  const auto index = capture(view(ids.data(), {6}));
  const auto table = capture(view(memory.data(), {4}));
  const auto mod = score_mod(
      [=](auto s, auto, auto, auto, auto kv) { return s + table[index[kv] * 2 - index[kv]]; });
  GradientScatter scatter(joint_of(mod), mod, 0);
  std::vector<double> gradient(4, 0.0);
  // Positions 6 and 7 are no rows of the index tensor.
  const std::vector<float> sums = {1, 2, 4, 8, 16, 32, 64, 128};
  scatter.add(0, 0, 0, std::span<const float>(sums), view(gradient.data(), {4}));
  EXPECT_EQ(gradient, (std::vector<double>{16, 0, 32, 1}));
}

TEST(GradientScatter, TensorsMayHaveAnyStrides) {
  const auto table = capture(view(memory.data(), {3, 5}));
  const auto mod = score_mod([=](auto s, auto, auto h, auto q, auto) { return s * table[h][q]; });
  GradientScatter scatter(joint_of(mod), mod, 0);
  std::vector<float> gradient(40, 0.0f);
  const std::vector<float> sums = {1, 2, 3, 4, 5};
  // Transposed and reversed: element (h, q) lies at 39 - h - 3 * q.
  scatter.add(0, 2, 0, std::span<const float>(sums), view(gradient.data() + 39, {3, 5}, {-1, -3}));
  for (int64_t q = 0; q < 5; ++q) {
    EXPECT_EQ(gradient[static_cast<std::size_t>(37 - 3 * q)], static_cast<float>(q + 1));
  }
  float total = 0;
  for (const float x : gradient) total += x;
  EXPECT_EQ(total, 15.0f);
}

}  // namespace
}  // namespace fovea::cpu
