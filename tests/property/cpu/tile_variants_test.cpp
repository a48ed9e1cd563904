// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "property/cpu/joint_case.h"

// Attention variants as people write them, put together at random: what the fused instructions and
// the hoisting are made for.
namespace fovea::cpu {
namespace {

using testing::TileCase;

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kTiles = 1500;
constexpr int64_t kLength = 400;  // beyond every tile of random_tile()

std::vector<float> random_floats(uint64_t seed, std::size_t count) {
  test::Dice dice(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(dice.normal());
  return values;
}

std::vector<int64_t> documents(int64_t length) {
  std::vector<int64_t> ids(static_cast<std::size_t>(kLength));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i) / length;
  return ids;
}

struct Tables {
  std::vector<float> slopes = random_floats(1, 5);
  std::vector<float> buckets = random_floats(2, 5 * 32);
  std::vector<float> dense = random_floats(3, static_cast<std::size_t>(5 * kLength * kLength));
  std::vector<float> by_document = random_floats(4, 40 * 40);
  std::vector<float> gates = random_floats(5, static_cast<std::size_t>(kLength));
  std::vector<int64_t> ids = documents(11);
};

Tables& tables() {
  static Tables all;
  return all;
}

Value add_to_score(int64_t which, const Value& s, const Value& h, const Value& q, const Value& kv) {
  const auto slopes = capture(view(tables().slopes.data(), {5}));
  const auto buckets = capture(view(tables().buckets.data(), {5, 32}));
  const auto dense = capture(view(tables().dense.data(), {5, kLength, kLength}));
  const auto pairs = capture(view(tables().by_document.data(), {40, 40}));
  const auto gates = capture(view(tables().gates.data(), {kLength}));
  const auto ids = capture(view(tables().ids.data(), {kLength}));
  switch (which) {
    case 0: return s + slopes[h] * (q - kv);
    case 1: return s + buckets[h][clamp(q - kv + 16, 0, 31)];
    case 2: return 30.0f * tanh(s / 30.0f);
    case 3: return tanh(s * slopes[h]) * 20.0f;
    case 4: return s * 0.125f;
    case 5: return s + dense(h, q, kv);
    case 6: return s - dense(h, kv, q);
    case 7: return s + pairs[ids[q]][ids[kv]];
    case 8: return s * gates[q] + gates[kv];
    case 9: return gates[kv] - s * gates[q];
    case 10: return s * gates[kv] - gates[q];
    case 11: return where(abs(q - kv) <= 9, s, s - 2.0f);
    case 12: return where(abs(s - gates[kv]) <= gates[q], s, -1e9f);
    case 13: return where(q % 7 == kv % 5, s, -std::numeric_limits<float>::infinity());
    case 14: return where(kv < 40 || q - kv > 3, s, 2.5f);
    case 15: return s + exp(-0.01f * abs(to_float(q - kv)));
    case 16: return max(s, gates[kv]) + min(s, gates[q]);
    case 17: return s * dense(h, q, kv);
    case 18: return gates[q] * tanh(s / gates[q]);
    case 19: return s * sigmoid(gates[q] + gates[kv]);
    case 20: return s / (2.0f + abs(gates[kv]));
    case 21: return clamp(s, -3.0f, 3.0f) + buckets[h][(q * 3 + kv) % 32];
    case 22: return where(q >= kv, s + gates[q - kv], s * 0.5f);
    default: return s + pairs[clamp(q - kv, 0, 39)][q / 11];
  }
}

Value allows(int64_t which, const Value& b, const Value& h, const Value& q, const Value& kv) {
  const auto ids = capture(view(tables().ids.data(), {kLength}));
  const auto gates = capture(view(tables().gates.data(), {kLength}));
  switch (which) {
    case 0: return q >= kv;
    case 1: return q - kv < 24;
    case 2: return abs(q - kv) <= 17;
    case 3: return ids[q] == ids[kv];
    case 4: return kv < 60 || q >= kv;
    case 5: return abs(q / 20 - kv / 20) <= 1 && abs(q % 20 - kv % 20) <= 4;
    case 6: return (q + kv) % 2 == 0;
    case 7: return (q - kv) % 3 == 0;
    case 8: return gates[kv] > 0.0f;
    case 9: return gates[q] < 1.0f;
    case 10: return h != 2 || b == 0;
    case 11: return kv / 16 <= q / 16;
    case 12: return !(ids[q] < ids[kv]);
    default: return gates[q] <= gates[kv];
  }
}

TileCase random_variant(uint64_t seed) {
  test::Dice dice(seed ^ 0xa11b1);
  TileCase c;
  const auto choose = [&](int64_t count, int64_t limit) {
    std::vector<int64_t> parts;
    for (int64_t i = 0; i < count; ++i) parts.push_back(dice.below(limit));
    return parts;
  };
  const auto scores = choose(dice.below(4), 24), masks = choose(dice.below(4), 14);
  const bool any = dice.chance(30);
  if (!scores.empty()) {
    c.score = score_mod([&](auto s, auto, auto h, auto q, auto kv) {
      Value x = s;
      for (const int64_t part : scores) x = add_to_score(part, x, h, q, kv);
      return x;
    });
    c.code += c.score.to_string();
  }
  if (!masks.empty()) {
    c.mask = mask_mod([&](auto b, auto h, auto q, auto kv) {
      Value allowed = allows(masks[0], b, h, q, kv);
      for (std::size_t i = 1; i < masks.size(); ++i) {
        const Value next = allows(masks[i], b, h, q, kv);
        allowed = any ? allowed || next : allowed && next;
      }
      return allowed;
    });
    c.code += c.mask.to_string();
  }
  random_tile(dice, c);
  return c;
}

TEST(TileVariantsProperty, AgreeWithTheInterpreter) {
  testing::Tally tally;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kTiles; ++seed) {
    check_case(random_variant(seed), tally);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(tally.decided * 10, tally.elements * 9) << tally.decided << " of " << tally.elements;
  EXPECT_EQ(tally.fast, tally.tiles);
}

TEST(TileVariantsProperty, DerivativesAgreeWithTheInterpreter) {
  testing::JointTally tally;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kTiles / 4; ++seed) {
    const TileCase c = random_variant(seed);
    if (!c.score) continue;
    test::Dice dice(seed ^ 0xd00d);
    check_joint_case(with_dout(dice, c), tally);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(tally.dscores.decided * 10, tally.dscores.elements * 9);
  EXPECT_GT(tally.sums.decided * 10, tally.sums.elements * 9);
  EXPECT_EQ(tally.scores.fast, tally.scores.tiles);
}

}  // namespace
}  // namespace fovea::cpu
