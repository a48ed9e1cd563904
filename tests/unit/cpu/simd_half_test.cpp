// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>
#include "unit/cpu/simd_harness.h"

/// simd_half.h against the scalar conversions of dtype.h.
namespace fovea::cpu {
namespace {

class SimdHalf : public ::testing::TestWithParam<NamedSimd> {
 protected:
  const SimdEntry& entry() const { return *GetParam().entry; }
  std::size_t lanes() const { return static_cast<std::size_t>(entry().lanes); }

  template <class T>
  void every_element_is_widened_exactly() const {
    std::vector<uint16_t> in(lanes());
    std::vector<float> out(lanes());
    for (uint32_t first = 0; first < 65536; first += static_cast<uint32_t>(lanes())) {
      for (std::size_t i = 0; i < lanes(); ++i) in[i] = static_cast<uint16_t>(first + i);
      entry().widen(DTypeOf<T>::value, in.data(), entry().lanes, out.data());
      for (std::size_t i = 0; i < lanes(); ++i) {
        T half;
        half.bits = in[i];
        const auto expected = static_cast<float>(half);
        const bool same = std::bit_cast<uint32_t>(out[i]) == std::bit_cast<uint32_t>(expected) ||
                          (std::isnan(expected) && std::isnan(out[i]));
        if (!same) FAIL() << "bits " << in[i] << ": expected " << expected << ", got " << out[i];
      }
    }
  }

  template <class T>
  void expect_rounded(const std::vector<float>& x) const {
    std::vector<uint16_t> to(lanes());
    entry().round_to(DTypeOf<T>::value, x.data(), entry().lanes, to.data());
    for (std::size_t i = 0; i < lanes(); ++i) {
      T half;
      half.bits = to[i];
      const bool same =
          std::isnan(x[i]) ? std::isnan(static_cast<float>(half)) : half.bits == T(x[i]).bits;
      if (!same) FAIL() << x[i] << ": got bits " << to[i];
    }
  }

  // Every 40009th bit pattern, and for each stored value what lies halfway to the next one, and the floats on
  // either side of that.
  template <class T>
  void rounds_to_nearest_even() const {
    std::vector<float> x(lanes());
    std::size_t filled = 0;
    const auto add = [&](uint32_t bits) {
      x[filled++] = std::bit_cast<float>(bits);
      if (filled < lanes()) return;
      expect_rounded<T>(x);
      filled = 0;
    };
    for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 40009) {
      add(static_cast<uint32_t>(bits));
    }
    for (uint32_t bits = 0; bits < 65535; ++bits) {
      T low, high;
      low.bits = static_cast<uint16_t>(bits);
      high.bits = static_cast<uint16_t>(bits + 1);
      const auto a = static_cast<double>(static_cast<float>(low));
      const auto b = static_cast<double>(static_cast<float>(high));
      const auto half = std::bit_cast<uint32_t>(static_cast<float>((a + b) / 2));
      add(half - 1), add(half), add(half + 1);
    }
    for (std::size_t i = 0; i < lanes(); ++i) add(0x7f800001u + static_cast<uint32_t>(i));
  }
};
INSTANTIATE_TEST_SUITE_P(Isa, SimdHalf, ::testing::ValuesIn(all_simd()),
                         [](const auto& test) { return test.param.name; });

TEST_P(SimdHalf, EveryElementIsWidenedExactly) {
  every_element_is_widened_exactly<BFloat16>();
  every_element_is_widened_exactly<Float16>();
}

TEST_P(SimdHalf, RoundsToNearestEven) {
  rounds_to_nearest_even<BFloat16>();
  rounds_to_nearest_even<Float16>();
}

// Arrays that end where the elements do, so that a sanitizer sees one read or written beyond.
TEST_P(SimdHalf, PartialLoadsAndStoresTouchNothingElse) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const uint16_t one = dtype == DType::bf16 ? BFloat16(1).bits : Float16(1).bits;
    for (std::size_t count = 0; count <= lanes(); ++count) {
      const std::unique_ptr<uint16_t[]> from(new uint16_t[count]);
      for (std::size_t i = 0; i < count; ++i) from[i] = one;
      std::vector<float> out(lanes(), -5.0f);
      std::vector<uint16_t> to(lanes(), 77);
      entry().widen(dtype, from.get(), static_cast<int64_t>(count), out.data());
      entry().round_to(dtype, out.data(), static_cast<int64_t>(count), to.data());
      for (std::size_t i = 0; i < lanes(); ++i) {
        EXPECT_EQ(out[i], i < count ? 1.0f : 0.0f);
        EXPECT_EQ(to[i], i < count ? one : 77);
      }
    }
  }
}

TEST_P(SimdHalf, PairsAreLoadedStoredAndZipped) {
  const std::size_t both = 2 * lanes();
  for (std::size_t count = 0; count <= both; ++count) {
    const std::unique_ptr<uint16_t[]> from(new uint16_t[count]);
    for (std::size_t i = 0; i < count; ++i) from[i] = static_cast<uint16_t>(i + 1);
    std::vector<int32_t> out(lanes(), -1);
    entry().load_pairs(from.get(), static_cast<int64_t>(count), out.data());
    for (std::size_t i = 0; i < both; ++i) {
      const auto word = static_cast<uint32_t>(out[i / 2]);
      EXPECT_EQ(i % 2 == 0 ? word & 0xffff : word >> 16, i < count ? i + 1 : 0);
    }
  }
  std::vector<float> x(both);
  std::vector<uint16_t> stored(both), lower(lanes()), upper(lanes());
  for (std::size_t i = 0; i < both; ++i) x[i] = Random(3).normal(i);
  entry().store_pairs(x.data(), x.data() + lanes(), stored.data());
  for (std::size_t i = 0; i < both; ++i) EXPECT_EQ(stored[i], BFloat16(x[i]).bits);
  for (std::size_t i = 0; i < lanes(); ++i) {
    lower[i] = stored[2 * i];
    upper[i] = stored[2 * i + 1];
  }
  std::vector<int32_t> zipped(lanes());
  entry().zip_pairs(lower.data(), upper.data(), zipped.data());
  EXPECT_EQ(std::memcmp(zipped.data(), stored.data(), both * 2), 0);
}

TEST_P(SimdHalf, PairsAreMultipliedAndSummedInF32) {
  std::vector<uint16_t> a(2 * lanes()), b(2 * lanes());
  std::vector<float> sum(lanes()), out(lanes());
  const auto half = [](uint16_t bits) {
    BFloat16 x;
    x.bits = bits;
    return static_cast<double>(static_cast<float>(x));
  };
  for (uint64_t round = 0; round < 200; ++round) {
    for (std::size_t i = 0; i < 2 * lanes(); ++i) {
      a[i] = BFloat16(Random(1).normal(round * 64 + i)).bits;
      b[i] = BFloat16(Random(2).normal(round * 64 + i)).bits;
    }
    for (std::size_t i = 0; i < lanes(); ++i) sum[i] = Random(3).normal(round * 64 + i);
    std::vector<int32_t> a_pairs(lanes()), b_pairs(lanes());
    std::memcpy(a_pairs.data(), a.data(), 2 * a.size());
    std::memcpy(b_pairs.data(), b.data(), 2 * b.size());
    entry().dot_pairs(a_pairs.data(), b_pairs.data(), sum.data(), out.data());
    for (std::size_t i = 0; i < lanes(); ++i) {
      const double first = half(a[2 * i]) * half(b[2 * i]);
      const double second = half(a[2 * i + 1]) * half(b[2 * i + 1]);
      const double size =
          std::abs(first) + std::abs(second) + std::abs(static_cast<double>(sum[i]));
      EXPECT_NEAR(out[i], first + second + static_cast<double>(sum[i]), 2e-7 * size);
    }
  }
}

}  // namespace
}  // namespace fovea::cpu
