// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <fovea/dtype.h>
#include <fovea/random.h>

namespace fovea {
namespace {

constexpr DType kAll[] = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64,
                          DType::i32, DType::i16, DType::i8,   DType::u8,  DType::boolean};

TEST(DTypeTest, NamesAreDistinctAndSizesAreTheElements) {
  for (const DType a : kAll) {
    for (const DType b : kAll) {
      EXPECT_EQ(a == b, std::string(name_of(a)) == name_of(b));
    }
  }
  EXPECT_EQ(size_of(DType::f64), sizeof(double));
  EXPECT_EQ(size_of(DType::f32), sizeof(float));
  EXPECT_EQ(size_of(DType::bf16), sizeof(BFloat16));
  EXPECT_EQ(size_of(DType::f16), sizeof(Float16));
  EXPECT_EQ(size_of(DType::i64), sizeof(int64_t));
  EXPECT_EQ(size_of(DType::u8), 1u);
  EXPECT_EQ(size_of(DType::boolean), 1u);
}

TEST(DTypeTest, EachIsFloatingIntegralOrBool) {
  int floating = 0, integral = 0;
  for (const DType dtype : kAll) {
    floating += is_floating(dtype);
    integral += is_integral(dtype);
    EXPECT_FALSE(is_floating(dtype) && is_integral(dtype));
  }
  EXPECT_EQ(floating, 4);
  EXPECT_EQ(integral, 5);
}

template <class Half>
void every_value_survives_a_round_trip() {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    Half half;
    half.bits = static_cast<uint16_t>(bits);
    const auto value = static_cast<float>(half);
    const Half again(value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(again)));
    } else {
      EXPECT_EQ(again.bits, half.bits) << "bits " << bits;
    }
  }
}

TEST(DTypeTest, EveryBFloat16SurvivesARoundTrip) { every_value_survives_a_round_trip<BFloat16>(); }
TEST(DTypeTest, EveryFloat16SurvivesARoundTrip) { every_value_survives_a_round_trip<Float16>(); }

// The nearest of the two neighbours, the even one on a tie: found by trying both.
template <class Half>
void rounding_is_to_nearest_even(float largest) {
  const Random random(7);
  for (uint64_t i = 0; i < 20000; ++i) {
    const float x = random.normal(i) * std::exp2(static_cast<float>(random.below(i, 30)) - 24.0f);
    if (std::fabs(x) > largest) continue;
    const Half got(x);
    const double error =
        std::fabs(static_cast<double>(static_cast<float>(got)) - static_cast<double>(x));
    for (const int step : {-1, 1}) {
      Half other = got;
      other.bits = static_cast<uint16_t>(other.bits + step);
      const auto value = static_cast<double>(static_cast<float>(other));
      if (std::isnan(value)) continue;
      const double other_error = std::fabs(value - static_cast<double>(x));
      EXPECT_LE(error, other_error) << x;
      if (error == other_error) {
        EXPECT_EQ(got.bits % 2, 0) << x;
      }
    }
  }
}

TEST(DTypeTest, BFloat16RoundsToNearestEven) { rounding_is_to_nearest_even<BFloat16>(1e30f); }
TEST(DTypeTest, Float16RoundsToNearestEven) { rounding_is_to_nearest_even<Float16>(60000.0f); }

TEST(DTypeTest, ConversionsOfEdges) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(static_cast<float>(Float16(65504.0f)), 65504.0f);
  EXPECT_EQ(static_cast<float>(Float16(65519.0f)), 65504.0f);
  EXPECT_EQ(static_cast<float>(Float16(65520.0f)), kInf);
  EXPECT_EQ(static_cast<float>(Float16(-kInf)), -kInf);
  EXPECT_EQ(Float16(-0.0f).bits, 0x8000);
  EXPECT_EQ(static_cast<float>(Float16(0x1p-24f)), 0x1p-24f);
  EXPECT_EQ(Float16(0x1p-25f).bits, 0);           // a tie, and 0 is even
  EXPECT_EQ(BFloat16(1.00390625f).bits, 0x3f80);  // a tie, and 1 is even
  EXPECT_EQ(static_cast<float>(BFloat16(3.4e38f)), kInf);
  // A NaN whose mantissa bits are all cut off must not become an infinity.
  EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(std::nanf("1")))));
  EXPECT_TRUE(std::isnan(static_cast<float>(Float16(std::nanf("1")))));
}

}  // namespace
}  // namespace fovea
