// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "unit/cpu/simd_harness.h"

namespace fovea::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class Simd : public ::testing::TestWithParam<NamedSimd> {
 protected:
  const SimdEntry& entry() const { return *GetParam().entry; }
  std::size_t lanes() const { return static_cast<std::size_t>(entry().lanes); }

  float unary(Unary f, float x) const {
    std::vector<float> in(lanes(), 1.0f), out(lanes());
    const std::size_t lane = std::bit_cast<uint32_t>(x) % lanes();
    in[lane] = x;
    entry().unary(f, in.data(), out.data());
    return out[lane];
  }
  float binary(Binary f, float a, float b) const {
    const std::vector<float> x(lanes(), a), y(lanes(), b);
    std::vector<float> out(lanes());
    entry().binary(f, x.data(), y.data(), out.data());
    for (const float r : out) EXPECT_EQ(std::memcmp(&r, &out[0], sizeof r), 0);
    return out[0];
  }
  // The largest distance from `exact`, in units of the last place, over floats of all magnitudes
  // (every 4099th bit pattern) that lie in [low, high].
  double worst_ulp(Unary f, double (*exact)(double), float low, float high) const {
    std::vector<float> in(lanes()), out(lanes());
    double worst = 0;
    std::size_t filled = 0;
    for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 4099) {
      const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
      if (!(x >= low && x <= high)) continue;
      in[filled++] = x;
      if (filled < lanes()) continue;
      filled = 0;
      entry().unary(f, in.data(), out.data());
      for (std::size_t i = 0; i < lanes(); ++i)
        worst = std::max(worst, ulp(out[i], exact(static_cast<double>(in[i]))));
    }
    return worst;
  }

 private:
  static double ulp(float got, double expected) {
    if (std::isinf(static_cast<float>(expected)))
      return got == static_cast<float>(expected) ? 0 : 1e9;
    int exponent = 0;
    std::frexp(expected, &exponent);
    const double unit = std::ldexp(1.0, std::max(exponent, -125) - 24);
    return std::abs(static_cast<double>(got) - expected) / unit;
  }
};
INSTANTIATE_TEST_SUITE_P(Isa, Simd, ::testing::ValuesIn(all_simd()),
                         [](const auto& test) { return test.param.name; });

TEST_P(Simd, ElementaryFunctionsAreAccurate) {
  EXPECT_LE(worst_ulp(Unary::exp2, [](double x) { return std::exp2(x); }, -kInf, 127.99f), 2.5);
  EXPECT_LE(worst_ulp(Unary::exp, [](double x) { return std::exp(x); }, -kInf, 88.72f), 1.5);
  EXPECT_LE(worst_ulp(Unary::log, [](double x) { return std::log(x); }, 1e-45f, kInf), 1.5);
  EXPECT_LE(worst_ulp(Unary::log2, [](double x) { return std::log2(x); }, 1e-45f, kInf), 2.0);
  EXPECT_LE(worst_ulp(Unary::tanh, [](double x) { return std::tanh(x); }, -kInf, kInf), 6.0);
  EXPECT_LE(
      worst_ulp(Unary::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -80, kInf), 3.0);
  EXPECT_EQ(
      worst_ulp(
          Unary::sqrt,
          [](double x) { return static_cast<double>(std::sqrt(static_cast<float>(x))); }, 0, kInf),
      0);
}

TEST_P(Simd, RoundingIsExact) {
  EXPECT_EQ(worst_ulp(Unary::round, [](double x) { return std::nearbyint(x); }, -kInf, kInf), 0);
  EXPECT_EQ(worst_ulp(Unary::floor, [](double x) { return std::floor(x); }, -kInf, kInf), 0);
  EXPECT_EQ(worst_ulp(Unary::ceil, [](double x) { return std::ceil(x); }, -kInf, kInf), 0);
  EXPECT_EQ(worst_ulp(Unary::trunc, [](double x) { return std::trunc(x); }, -kInf, kInf), 0);
  EXPECT_EQ(
      worst_ulp(Unary::truncate_to_int, [](double x) { return std::trunc(x); }, -2e9f, 2e9f), 0);
  EXPECT_EQ(worst_ulp(Unary::absolute, [](double x) { return std::abs(x); }, -kInf, kInf), 0);
  for (const float half : {0.5f, 1.5f, 2.5f, -0.5f, -1.5f}) {
    EXPECT_EQ(unary(Unary::round, half), std::nearbyint(half));
  }
}

TEST_P(Simd, SpecialValues) {
  EXPECT_EQ(unary(Unary::exp2, -kInf), 0.0f);
  EXPECT_EQ(unary(Unary::exp2, kInf), kInf);
  EXPECT_EQ(unary(Unary::exp2, 128.0f), kInf);
  EXPECT_EQ(unary(Unary::exp2, 0.0f), 1.0f);
  EXPECT_EQ(unary(Unary::exp2, -149.0f), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(unary(Unary::exp, -kInf), 0.0f);
  EXPECT_EQ(unary(Unary::exp, kInf), kInf);
  EXPECT_EQ(unary(Unary::exp, 89.0f), kInf);
  EXPECT_EQ(unary(Unary::exp, 0.0f), 1.0f);
  for (const Unary f : {Unary::log, Unary::log2}) {
    EXPECT_EQ(unary(f, 0.0f), -kInf);
    EXPECT_EQ(unary(f, -0.0f), -kInf);
    EXPECT_EQ(unary(f, kInf), kInf);
    EXPECT_EQ(unary(f, 1.0f), 0.0f);
    EXPECT_TRUE(std::isnan(unary(f, -1.0f)));
    EXPECT_TRUE(std::isnan(unary(f, -kInf)));
  }
  EXPECT_EQ(unary(Unary::log2, 1024.0f), 10.0f);
  EXPECT_EQ(unary(Unary::tanh, kInf), 1.0f);
  EXPECT_EQ(unary(Unary::tanh, -kInf), -1.0f);
  EXPECT_TRUE(std::signbit(unary(Unary::tanh, -0.0f)));
  EXPECT_EQ(unary(Unary::sigmoid, kInf), 1.0f);
  EXPECT_EQ(unary(Unary::sigmoid, -kInf), 0.0f);
  // A NaN stays one, whatever its bits.
  for (const uint32_t bits : {0x7fc00000u, 0xffc00000u, 0x7fc00001u, 0x7fffffffu}) {
    for (const Unary f : {Unary::exp2, Unary::exp, Unary::log, Unary::log2, Unary::tanh,
                          Unary::sigmoid, Unary::sqrt, Unary::round, Unary::floor}) {
      EXPECT_TRUE(std::isnan(unary(f, std::bit_cast<float>(bits)))) << static_cast<int>(f);
    }
  }
}

TEST_P(Simd, TanhStaysInside) {
  for (float x = 0; x < 20; x += 0.001f) {
    ASSERT_LE(unary(Unary::tanh, x), 1.0f) << x;
    ASSERT_EQ(unary(Unary::tanh, -x), -unary(Unary::tanh, x)) << x;
  }
}

TEST_P(Simd, MinAndMax) {
  EXPECT_EQ(binary(Binary::min, 1, 2), 1);
  EXPECT_EQ(binary(Binary::max, 1, 2), 2);
  EXPECT_EQ(binary(Binary::min, kNan, 2), 2);  // the second if either is NaN
  EXPECT_TRUE(std::isnan(binary(Binary::min, 2, kNan)));
  EXPECT_EQ(binary(Binary::max, kNan, 2), 2);
  EXPECT_TRUE(std::isnan(binary(Binary::max, 2, kNan)));
  for (const Binary f : {Binary::min_or_nan, Binary::max_or_nan}) {
    EXPECT_TRUE(std::isnan(binary(f, kNan, 2)));
    EXPECT_TRUE(std::isnan(binary(f, 2, kNan)));
  }
  EXPECT_EQ(binary(Binary::min_or_nan, 1, 2), 1);
  EXPECT_EQ(binary(Binary::max_or_nan, 1, 2), 2);
  EXPECT_EQ(binary(Binary::copysign, 3, -0.0f), -3);
  EXPECT_EQ(binary(Binary::less, 1, 2), -1);
  EXPECT_EQ(binary(Binary::less, 2, 1), 0);
  EXPECT_EQ(binary(Binary::less, kNan, 1), 0);
}

TEST_P(Simd, SelectFmaAndReductions) {
  std::vector<float> a(lanes()), b(lanes()), c(lanes()), out(lanes());
  std::vector<int32_t> mask(lanes());
  float sum = 0;
  for (std::size_t i = 0; i < lanes(); ++i) {
    a[i] = static_cast<float>(i * i % 11);
    b[i] = -static_cast<float>(i);
    c[i] = 0.5f;
    mask[i] = i % 3 == 0 ? -1 : 0;
    sum += a[i];
  }
  entry().select(mask.data(), a.data(), b.data(), out.data());
  for (std::size_t i = 0; i < lanes(); ++i) EXPECT_EQ(out[i], i % 3 == 0 ? a[i] : b[i]);
  entry().fma(a.data(), b.data(), c.data(), out.data());
  for (std::size_t i = 0; i < lanes(); ++i) EXPECT_EQ(out[i], a[i] * b[i] + 0.5f);
  EXPECT_EQ(entry().hsum(a.data()), sum);
  for (std::size_t i = 0; i < lanes(); ++i) {
    std::vector<float> x(lanes(), -kInf);
    x[i] = -7;
    EXPECT_EQ(entry().hmax(x.data()), -7);
    std::vector<int32_t> one(lanes(), 0), missing(lanes(), -1);
    one[i] = -1;
    missing[i] = 0;
    EXPECT_TRUE(entry().any(one.data()));
    EXPECT_FALSE(entry().all(one.data()));
    EXPECT_FALSE(entry().all(missing.data()));
  }
  const std::vector<int32_t> none(lanes(), 0), full(lanes(), -1);
  EXPECT_FALSE(entry().any(none.data()));
  EXPECT_TRUE(entry().all(full.data()));
}

// Arrays that end where the elements do, so that a sanitizer sees one read or written beyond.
TEST_P(Simd, PartialLoadsAndStoresTouchNothingElse) {
  for (std::size_t count = 0; count <= lanes(); ++count) {
    const std::unique_ptr<float[]> from(new float[count]);
    for (std::size_t i = 0; i < count; ++i) from[i] = static_cast<float>(i + 1);
    std::vector<float> out(lanes(), kNan), to(lanes(), -9.0f);
    entry().load_partial(from.get(), static_cast<int64_t>(count), out.data());
    entry().store_partial(out.data(), static_cast<int64_t>(count), to.data());
    for (std::size_t i = 0; i < lanes(); ++i) {
      EXPECT_EQ(out[i], i < count ? static_cast<float>(i + 1) : 0.0f);
      EXPECT_EQ(to[i], i < count ? static_cast<float>(i + 1) : -9.0f);
    }
  }
}

TEST_P(Simd, GatherReadsOnlyWhereTheMaskIsOn) {
  std::vector<float> base(100);
  for (std::size_t i = 0; i < base.size(); ++i) base[i] = static_cast<float>(i);
  std::vector<int32_t> index(lanes()), mask(lanes());
  std::vector<float> out(lanes());
  for (std::size_t i = 0; i < lanes(); ++i) {
    mask[i] = i % 2 == 0 ? -1 : 0;
    index[i] =
        i % 2 == 0 ? static_cast<int32_t>(99 - 3 * i) : 1 << 30;  // far outside where it is off
  }
  entry().gather(base.data(), index.data(), mask.data(), out.data());
  for (std::size_t i = 0; i < lanes(); ++i) {
    EXPECT_EQ(out[i], i % 2 == 0 ? static_cast<float>(99 - 3 * i) : 0.0f);
  }
}

TEST_P(Simd, Transpose) {
  std::vector<float> square(lanes() * lanes());
  for (std::size_t i = 0; i < square.size(); ++i) square[i] = static_cast<float>(i);
  entry().transpose(square.data());
  for (std::size_t i = 0; i < lanes(); ++i) {
    for (std::size_t j = 0; j < lanes(); ++j) {
      ASSERT_EQ(square[i * lanes() + j], static_cast<float>(j * lanes() + i));
    }
  }
}

}  // namespace
}  // namespace fovea::cpu
