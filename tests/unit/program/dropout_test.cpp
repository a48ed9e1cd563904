// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/dropout.h>
#include <fovea/random.h>
#include "program/interpret.h"

namespace fovea {
namespace {

using program::interpret;
using program::RowInterpreter;

struct Numbers {
  int64_t seed = 0, offset = 0;
  Program dropout(double p) const {
    return fovea::dropout(p, view(&seed, Dims{}), view(&offset, Dims{}));
  }
};

// 1 where a weight stays, 0 where it is dropped.
std::vector<int> kept(const Program& dropout, int64_t b, int64_t h, int64_t q_len, int64_t kv_len) {
  RowInterpreter rows(dropout);
  const std::vector<double> ones(static_cast<std::size_t>(kv_len), 1.0);
  std::vector<int> result;
  for (int64_t q = 0; q < q_len; ++q) {
    for (const double w : rows.run_score(b, h, q, 0, ones)) result.push_back(w != 0 ? 1 : 0);
  }
  return result;
}

uint32_t word(int64_t x, int i) {
  return static_cast<uint32_t>(static_cast<uint64_t>(x) >> 32 * i);
}

// As the header says it, without a program.
double by_hand(double p, int64_t seed, int64_t offset, const program::Inputs& at) {
  const auto next = [](uint32_t key, uint32_t a, uint32_t b) { return philox2x32({a, b}, key)[0]; };
  const uint32_t words = next(word(seed, 0), word(seed, 1), word(offset, 0));
  const uint32_t batch = next(words, word(offset, 1), static_cast<uint32_t>(at.b));
  const uint32_t key = next(batch, static_cast<uint32_t>(at.h), 0);
  const auto bits =
      static_cast<int32_t>(next(key, static_cast<uint32_t>(at.q), static_cast<uint32_t>(at.kv)));
  return (static_cast<double>(bits) + 0x1p31) * 0x1p-32 < p ? 0 : at.score / (1 - p);
}

TEST(Dropout, IsAFunctionOfSeedOffsetAndPosition) {
  Numbers n{.seed = 0x123456789abcdef, .offset = -(int64_t{5} << 40)};
  const Program mod = n.dropout(0.3);
  for (int64_t i = 0; i < 2000; ++i) {
    const program::Inputs at{.score = 0.25, .b = i % 3, .h = i % 5, .q = i / 7, .kv = i * 13};
    EXPECT_NEAR(interpret(mod, at).f, by_hand(0.3, n.seed, n.offset, at), 1e-12) << i;
  }
}

TEST(Dropout, AllBitsOfSeedAndOffsetCount) {
  const std::vector<int> first = kept(Numbers{.seed = 7, .offset = 9}.dropout(0.5), 0, 0, 8, 64);
  for (int bit = 0; bit < 64; ++bit) {
    const auto flipped = [&](int64_t x) {
      return static_cast<int64_t>(static_cast<uint64_t>(x) ^ uint64_t{1} << bit);
    };
    const Numbers seed{.seed = flipped(7), .offset = 9}, offset{.seed = 7, .offset = flipped(9)};
    EXPECT_NE(kept(seed.dropout(0.5), 0, 0, 8, 64), first) << bit;
    EXPECT_NE(kept(offset.dropout(0.5), 0, 0, 8, 64), first) << bit;
  }
}

TEST(Dropout, ReadsSeedAndOffsetWhenItRuns) {
  Numbers n{.seed = 1, .offset = 2};
  const Program mod = n.dropout(0.5);
  const auto before = kept(mod, 0, 0, 4, 64);
  n.offset = 3;
  EXPECT_NE(kept(mod, 0, 0, 4, 64), before);
  n.offset = 2;
  EXPECT_EQ(kept(mod, 0, 0, 4, 64), before);
}

TEST(Dropout, TheProbabilityIsNoPartOfTheStructure) {
  const Numbers n;
  EXPECT_EQ(n.dropout(0).structure_hash(), n.dropout(1).structure_hash());
  EXPECT_EQ(n.dropout(0.5).structure_hash(), n.dropout(0.1).structure_hash());
}

TEST(Dropout, NothingAndEverything) {
  const Numbers n{.seed = 3, .offset = 4};
  const program::Inputs at{.score = 0.75, .b = 1, .h = 2, .q = 3, .kv = 4};
  for (int64_t kv = 0; kv < 1000; ++kv) {
    program::Inputs here = at;
    here.kv = kv;
    EXPECT_EQ(interpret(n.dropout(0), here).f, 0.75);
    EXPECT_EQ(interpret(n.dropout(1), here).f, 0);
  }
}

struct Moments {
  double mean = 0;
  double along_q = 0, along_kv = 0, across_heads = 0;  // correlation of neighbours
};

Moments moments_of(double p) {
  constexpr int64_t kLength = 512;
  const Numbers n{.seed = 42, .offset = 0};
  const auto one = kept(n.dropout(p), 0, 0, kLength, kLength);
  const auto other = kept(n.dropout(p), 0, 1, kLength, kLength);
  Moments m;
  double variance = 0;
  for (const int x : one) m.mean += x;
  m.mean /= static_cast<double>(one.size());
  const auto around = [&](int x) { return x - m.mean; };
  for (int64_t q = 0; q + 1 < kLength; ++q) {
    for (int64_t kv = 0; kv + 1 < kLength; ++kv) {
      const auto at = static_cast<std::size_t>(q * kLength + kv);
      variance += around(one[at]) * around(one[at]);
      m.along_kv += around(one[at]) * around(one[at + 1]);
      m.along_q += around(one[at]) * around(one[at + kLength]);
      m.across_heads += around(one[at]) * around(other[at]);
    }
  }
  m.along_kv /= variance;
  m.along_q /= variance;
  m.across_heads /= variance;
  return m;
}

TEST(Dropout, KeepsWithTheProbabilityAskedForAndIndependently) {
  // 262144 draws: 5 standard deviations.
  for (const double p : {0.05, 0.1, 0.5, 0.9}) {
    const Moments m = moments_of(p);
    EXPECT_NEAR(m.mean, 1 - p, 5 * std::sqrt(p * (1 - p) / 262144)) << p;
    EXPECT_NEAR(m.along_kv, 0, 5.0 / 512) << p;
    EXPECT_NEAR(m.along_q, 0, 5.0 / 512) << p;
    EXPECT_NEAR(m.across_heads, 0, 5.0 / 512) << p;
  }
}

TEST(Compose, AppliesOneModAfterTheOther) {
  std::array<float, 2> gates{2, 3};
  const auto gate = capture(view(gates.data(), {2}));
  const Program inner = weight_mod([=](auto w, auto, auto h, auto, auto) { return w * gate[h]; });
  const Program outer = weight_mod(
      [](auto w, auto, auto, auto q, auto kv) { return where(q == kv, w + 0.5f, w * w); });
  const Program both = compose(outer, inner);
  EXPECT_EQ(both.kind(), ModKind::weight);
  EXPECT_EQ(interpret(both, {.score = 0.5, .h = 1, .q = 4, .kv = 4}).f, 2.0);
  EXPECT_EQ(interpret(both, {.score = 0.5, .h = 0, .q = 4, .kv = 3}).f, 1.0);
  EXPECT_EQ(compose(inner, outer).captures().size(), 1u);

  const Program twice = compose(parse_program("score * 2.0"), parse_program("score + f32(h)"));
  EXPECT_EQ(interpret(twice, {.score = 1, .h = 3}).f, 8.0);
}

}  // namespace
}  // namespace fovea
