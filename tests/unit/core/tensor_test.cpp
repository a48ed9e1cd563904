// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include <fovea/tensor.h>

namespace fovea {
namespace {

TEST(TensorTest, ViewOfAnArrayIsContiguous) {
  float data[24];
  const TensorView v = view(data, {2, 3, 4});
  EXPECT_EQ(v.dtype, DType::f32);
  EXPECT_EQ(v.rank(), 3);
  EXPECT_EQ(v.numel(), 24);
  EXPECT_EQ(v.strides, (Dims{12, 4, 1}));
  EXPECT_TRUE(v.is_contiguous());
  EXPECT_EQ(v.device, Device{});
}

TEST(TensorTest, ConstMemoryKeepsItsElementType) {
  const int64_t data[2] = {1, 2};
  EXPECT_EQ(view(data, {2}).dtype, DType::i64);
}

TEST(TensorTest, ContiguityIgnoresDimensionsOfOne) {
  float data[8];
  EXPECT_TRUE(view(data, {2, 1, 4}, {4, 99, 1}).is_contiguous());
  EXPECT_FALSE(view(data, {2, 4}, {1, 2}).is_contiguous());
  EXPECT_FALSE(view(data, {2, 4}, {0, 1}).is_contiguous());
  EXPECT_TRUE(view(data, {0, 4}, {7, 7}).is_contiguous());
}

TEST(TensorTest, ScalarsAndEmptyTensors) {
  double x = 0;
  EXPECT_EQ(view(&x, {}).numel(), 1);
  EXPECT_TRUE(static_cast<bool>(view(&x, {})));
  EXPECT_EQ(view(&x, {3, 0}).numel(), 0);
  EXPECT_FALSE(static_cast<bool>(TensorView{}));
}

TEST(TensorTest, ABroadcastViewMayNameMoreElementsThanCanBeCounted) {
  float x = 0;
  constexpr int64_t kLarge = int64_t{1} << 40;
  const TensorView broadcast = view(&x, {kLarge, kLarge}, {0, 0});
  EXPECT_EQ(broadcast.numel(), std::numeric_limits<int64_t>::max());
  EXPECT_FALSE(broadcast.is_contiguous());
  EXPECT_EQ(view(&x, {kLarge, kLarge, 0}, {0, 0, 0}).numel(), 0);
  EXPECT_EQ(view(&x, {kLarge, kLarge}).numel(), std::numeric_limits<int64_t>::max());
}

TEST(TensorTest, DimsPrintAndCompare) {
  EXPECT_EQ(to_string(Dims{2, 8, 1024, 64}), "[2, 8, 1024, 64]");
  EXPECT_EQ(to_string(Dims{}), "[]");
  EXPECT_NE((Dims{1, 2}), (Dims{1, 2, 3}));
  EXPECT_NE((Dims{1, 2}), (Dims{1, 3}));
}

TEST(TensorTest, RankIsLimited) {
  const std::vector<int64_t> sizes(kMaxRank + 1, 1);
  try {
    Dims dims{std::span<const int64_t>(sizes)};
    FAIL() << "no error";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(), "[Dims] rank is limited: expected at most 16, got 17");
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  }
}

}  // namespace
}  // namespace fovea
