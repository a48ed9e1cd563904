// SPDX-License-Identifier: Apache-2.0
#include "attention/causal_sequences.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "attention/causal.h"
#include "program/interpret.h"

namespace fovea::attention {
namespace {

using Lengths = std::vector<std::pair<int64_t, int64_t>>;

Problem problem(const Lengths& lengths) {
  Problem p;
  p.batch = static_cast<int64_t>(lengths.size());
  p.q_heads = p.kv_heads = 1;
  for (const auto& [q_len, kv_len] : lengths) {
    p.sequences.push_back({.q_len = q_len, .kv_len = kv_len});
    p.q_len = std::max(p.q_len, q_len);
    p.kv_len = std::max(p.kv_len, kv_len);
  }
  return p;
}

// By its program and by its lists, within each sequence.
void expect_mask(const Problem& p,
                 const std::function<bool(int64_t b, int64_t q, int64_t kv)>& visible) {
  ASSERT_TRUE(static_cast<bool>(p.block_mask));
  const BlockSize size = p.block_mask.block_size();
  ASSERT_GE(p.block_mask.q_len(), p.q_len);
  ASSERT_GE(p.block_mask.kv_len(), p.kv_len);
  const auto holds = [](std::span<const BlockRun> runs, int64_t i) {
    return std::ranges::any_of(runs, [i](const BlockRun& r) { return r.begin <= i && i < r.end; });
  };
  for (int64_t b = 0; b < p.batch; ++b) {
    for (int64_t q = 0; q < p.sequence(b).q_len; ++q) {
      const auto full = p.block_mask.full(b, 0, q / size.q);
      const auto partial = p.block_mask.partial(b, 0, q / size.q);
      for (int64_t kv = 0; kv < p.sequence(b).kv_len; ++kv) {
        const bool allowed =
            program::interpret(p.mask_mod, {.b = b, .h = 0, .q = q, .kv = kv}).i != 0;
        ASSERT_EQ(allowed, visible(b, q, kv)) << b << ", " << q << ", " << kv;
        const bool in_full = holds(full, kv / size.kv), in_partial = holds(partial, kv / size.kv);
        ASSERT_TRUE(allowed ? in_full || in_partial : !in_full) << b << ", " << q << ", " << kv;
      }
    }
  }
}

auto lower_right(const Problem& p) {
  return [&p](int64_t b, int64_t q, int64_t kv) {
    return kv <= q + p.sequence(b).kv_len - p.sequence(b).q_len;
  };
}

const Lengths kMixed{{200, 300}, {1, 290}, {5, 3}, {0, 7}, {130, 130}, {9, 0}, {200, 300}};

TEST(CausalSequencesTest, EachFromItsEnd) {
  Problem p = problem(kMixed);
  apply_causal(p, Causal::lower_right);
  expect_mask(p, lower_right(p));
  EXPECT_EQ(p.block_mask.batch(), 7);
  // One query of the whole length: every block that it sees is full but the last.
  EXPECT_EQ(p.block_mask.full(1, 0, 0).front(), (BlockRun{0, 2}));
  EXPECT_TRUE(p.block_mask.full(3, 0, 0).empty());
}

TEST(CausalSequencesTest, WithAnotherMask) {
  Problem p = problem(kMixed);
  p.block_mask = create_block_mask(
      [](auto b, auto, auto q, auto kv) { return (q / 9 + kv / 20 + b) % 3 != 1; },
      {.q_len = 220, .kv_len = 310, .batch = 7, .block_size = {16, 32}});
  apply_causal(p, Causal::lower_right);
  const auto from_the_end = lower_right(p);
  expect_mask(p, [&](int64_t b, int64_t q, int64_t kv) {
    return from_the_end(b, q, kv) && (q / 9 + kv / 20 + b) % 3 != 1;
  });
}

TEST(CausalSequencesTest, OneMaskIfAllEndAlike) {
  Problem p = problem({{100, 120}, {7, 27}, {0, 20}});
  apply_causal(p, Causal::lower_right);
  expect_mask(p, lower_right(p));
  EXPECT_EQ(p.block_mask.batch(), 1);
  Problem other = problem({{101, 121}, {8, 28}});
  apply_causal(other, Causal::lower_right);
  EXPECT_EQ(p.block_mask.shared_data(), other.block_mask.shared_data());
}

TEST(CausalSequencesTest, UpperLeftIsOneMaskForManyLengths) {
  Problem p = problem(kMixed), other = problem({{222, 290}, {3, 3}});
  apply_causal(p, Causal::upper_left);
  apply_causal(other, Causal::upper_left);
  expect_mask(p, [](int64_t, int64_t q, int64_t kv) { return kv <= q; });
  EXPECT_EQ(p.block_mask.shared_data(), other.block_mask.shared_data());
}

TEST(CausalSequencesTest, TheLastQueryNeedsNoMask) {
  Problem p = problem({{1, 100}, {1, 5}, {0, 3}, {1, 0}});
  apply_causal(p, Causal::lower_right);
  EXPECT_FALSE(static_cast<bool>(p.block_mask));
}

TEST(CausalSequencesTest, TheSameLengthsGetTheSameMask) {
  Problem p = problem(kMixed), again = problem(kMixed);
  Lengths changed = kMixed;
  changed[1] = {2, 291};  // the same offset
  Problem other = problem(changed);
  for (Problem* each : {&p, &again, &other}) apply_causal(*each, Causal::lower_right);
  EXPECT_EQ(p.block_mask.shared_data(), again.block_mask.shared_data());
  EXPECT_NE(p.block_mask.shared_data(), other.block_mask.shared_data());
  expect_mask(other, lower_right(other));
  EXPECT_EQ(p.mask_mod.structure_hash(), other.mask_mod.structure_hash());
}

}  // namespace
}  // namespace fovea::attention
