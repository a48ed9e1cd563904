// SPDX-License-Identifier: Apache-2.0
#include "attention/causal.h"

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "mask/block_mask_data.h"

namespace fovea::attention {
namespace {

Problem problem(int64_t q_len, int64_t kv_len) {
  Problem p;
  p.batch = p.q_heads = p.kv_heads = 1;
  p.q_len = q_len;
  p.kv_len = kv_len;
  return p;
}

// Where the mask is true, by its program and by its blocks.
void expect_mask(const Problem& p, const std::function<bool(int64_t, int64_t)>& visible) {
  ASSERT_TRUE(static_cast<bool>(p.block_mask));
  const auto dense = create_mask(p.mask_mod, {.q_len = p.q_len, .kv_len = p.kv_len});
  const auto blocks = p.block_mask.to_dense();
  const BlockSize size = p.block_mask.block_size();
  std::vector<uint8_t> expected(blocks.size(), 0);
  for (int64_t q = 0; q < p.q_len; ++q) {
    for (int64_t kv = 0; kv < p.kv_len; ++kv) {
      EXPECT_EQ(dense[static_cast<std::size_t>(q * p.kv_len + kv)] != 0, visible(q, kv))
          << q << ", " << kv;
      if (!visible(q, kv)) continue;
      expected[static_cast<std::size_t>(q / size.q * p.block_mask.columns() + kv / size.kv)] = 1;
    }
  }
  EXPECT_EQ(blocks, expected);
}

TEST(CausalTest, UpperLeftAndLowerRight) {
  for (const auto& [q_len, kv_len] : {std::pair{5, 5}, {5, 9}, {9, 5}, {300, 300}, {130, 390}}) {
    Problem p = problem(q_len, kv_len);
    apply_causal(p, Causal::upper_left);
    expect_mask(p, [](int64_t q, int64_t kv) { return kv <= q; });
    p = problem(q_len, kv_len);
    apply_causal(p, Causal::lower_right);
    const int64_t offset = kv_len - q_len;
    expect_mask(p, [=](int64_t q, int64_t kv) { return kv <= q + offset; });
  }
}

TEST(CausalTest, WhereItHidesNothingThereIsNoMask) {
  Problem p = problem(1, 100);
  apply_causal(p, Causal::lower_right);
  EXPECT_FALSE(static_cast<bool>(p.block_mask));
  p = problem(7, 1);
  apply_causal(p, Causal::upper_left);
  EXPECT_FALSE(static_cast<bool>(p.block_mask));
  p = problem(7, 0);
  apply_causal(p, Causal::lower_right);
  EXPECT_FALSE(static_cast<bool>(p.block_mask));
  p = problem(2, 100);
  apply_causal(p, Causal::lower_right);
  EXPECT_TRUE(static_cast<bool>(p.block_mask));
}

TEST(CausalTest, TheSameLengthsGetTheSameMask) {
  Problem first = problem(64, 80), again = problem(64, 80), other = problem(64, 81);
  for (Problem* p : {&first, &again, &other}) apply_causal(*p, Causal::lower_right);
  EXPECT_EQ(first.block_mask.shared_data(), again.block_mask.shared_data());
  EXPECT_NE(first.block_mask.shared_data(), other.block_mask.shared_data());
  // Equal lengths: both ends are the same.
  Problem left = problem(33, 33), right = problem(33, 33);
  apply_causal(left, Causal::upper_left);
  apply_causal(right, Causal::lower_right);
  EXPECT_EQ(left.block_mask.shared_data(), right.block_mask.shared_data());
  EXPECT_EQ(first.mask_mod.structure_hash(), other.mask_mod.structure_hash());
}

TEST(CausalTest, NotMoreMasksAreKeptThanAFew) {
  for (int64_t n = 2; n < 100; ++n) {
    Problem p = problem(n, n);
    apply_causal(p, Causal::upper_left);
  }
  EXPECT_LE(kept_causal_masks(), 16u);
}

TEST(CausalTest, JoinsABlockMask) {
  const auto odd = [](auto, auto, auto q, auto kv) { return (q + kv) % 2 == 1 || kv < 10; };
  const BlockMask mask =
      create_block_mask(odd, {.q_len = 50, .kv_len = 70, .block_size = {16, 32}});
  Problem p = problem(50, 70);
  p.block_mask = mask;
  apply_causal(p, Causal::lower_right);
  expect_mask(p,
              [](int64_t q, int64_t kv) { return kv <= q + 20 && ((q + kv) % 2 == 1 || kv < 10); });
  EXPECT_EQ(p.block_mask.block_size(), (BlockSize{16, 32}));
  Problem again = problem(50, 70);
  again.block_mask = mask;
  apply_causal(again, Causal::lower_right);
  EXPECT_EQ(again.block_mask.shared_data(), p.block_mask.shared_data());
  again.block_mask = mask;
  apply_causal(again, Causal::upper_left);
  EXPECT_NE(again.block_mask.shared_data(), p.block_mask.shared_data());
}

// A mask that is gone must not be taken for one that lies at its address now.
TEST(CausalTest, AMaskMadeAnewIsAnother) {
  for (int64_t window = 1; window < 20; ++window) {
    const auto near = [=](auto, auto, auto q, auto kv) { return abs(q - kv) < window; };
    Problem p = problem(40, 40);
    p.block_mask = create_block_mask(near, {.q_len = 40, .kv_len = 40, .block_size = {8, 8}});
    apply_causal(p, Causal::upper_left);
    expect_mask(p, [=](int64_t q, int64_t kv) { return kv <= q && q - kv < window; });
  }
}

TEST(CausalTest, ListsThatDecideAreAnError) {
  const auto all = [](auto, auto, auto q, auto) { return q >= 0; };
  const BlockMask mask = create_block_mask(all, {.q_len = 40, .kv_len = 40});
  Problem p = problem(40, 40);
  p.block_mask = mask.index(0).with_mask_mod(mask.mask_mod());
  try {
    apply_causal(p, Causal::upper_left);
    FAIL() << "no error";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(),
                 "[flex_attention] causal cannot join a block mask whose lists decide: expected a "
                 "mask of create_block_mask, got one of BlockMask::from_kv_blocks or index");
  }
}

}  // namespace
}  // namespace fovea::attention
