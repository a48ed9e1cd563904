// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include <fovea/random.h>

namespace fovea {
namespace {

using Four = std::array<uint32_t, 4>;

// The known-answer vectors that the authors of Philox publish for 4x32 with 10 rounds.
TEST(RandomTest, PhiloxGivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomTest, PhiloxOfTwoWordsGivesTheKnownAnswers) {
  using Two = std::array<uint32_t, 2>;
  EXPECT_EQ(philox2x32({0, 0}, 0), (Two{0xff1dae59, 0x6cd10df2}));
  EXPECT_EQ(philox2x32({~0u, ~0u}, ~0u), (Two{0x2c3f628b, 0xab4fd7ad}));
  EXPECT_EQ(philox2x32({0x243f6a88, 0x85a308d3}, 0x13198a2e), (Two{0xdd7ce038, 0xf62a4c12}));
}

TEST(RandomTest, ValuesDependOnSeedAndPositionAlone) {
  EXPECT_EQ(Random(5).bits(123456789), Random(5).bits(123456789));
  EXPECT_NE(Random(5).bits(1), Random(5).bits(2));
  EXPECT_NE(Random(5).bits(1), Random(6).bits(1));
}

TEST(RandomTest, UniformFillsTheUnitInterval) {
  const Random random(1);
  double sum = 0;
  float low = 1, high = 0;
  constexpr int kCount = 100000;
  for (uint64_t i = 0; i < kCount; ++i) {
    const float x = random.uniform(i);
    ASSERT_GE(x, 0.0f);
    ASSERT_LT(x, 1.0f);
    sum += static_cast<double>(x);
    low = std::min(low, x);
    high = std::max(high, x);
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.005);
  EXPECT_LT(low, 0.001f);
  EXPECT_GT(high, 0.999f);
}

TEST(RandomTest, NormalHasMeanZeroVarianceOneAndNoNeighbourCorrelation) {
  const Random random(2);
  double sum = 0, squares = 0, neighbours = 0;
  constexpr int kCount = 100000;
  for (uint64_t i = 0; i < kCount; ++i) {
    const auto x = static_cast<double>(random.normal(i));
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    neighbours += x * static_cast<double>(random.normal(i + 1));
  }
  EXPECT_NEAR(sum / kCount, 0, 0.015);
  EXPECT_NEAR(squares / kCount, 1, 0.02);
  EXPECT_NEAR(neighbours / kCount, 0, 0.02);
}

TEST(RandomTest, BitsAreTheWordsOfTheBlocks) {
  const auto block = philox4x32({2, 0, 0, 0}, {7, 0});
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(Random(7).bits(8 + i), block[i]);
  const auto far = philox4x32({0, 1, 0, 0}, {0, 1});
  EXPECT_EQ(Random(uint64_t{1} << 32).bits(uint64_t{4} << 32), far[0]);
}

TEST(RandomTest, BelowReachesEveryValueAndNoOther) {
  std::set<int64_t> seen;
  for (uint64_t i = 0; i < 1000; ++i) seen.insert(Random(3).below(i, 7));
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_EQ(*seen.begin(), 0);
  EXPECT_EQ(*seen.rbegin(), 6);
}

}  // namespace
}  // namespace fovea
