// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/analysis/gallery.h"
#include "unit/mask/position_mask.h"

namespace fovea {
namespace {

using test::Gallery;

void expect_as_created(const BlockMask& combined, const Program& mod,
                       const BlockMaskOptions& shape) {
  const BlockMask fresh = create_block_mask(mod, shape);
  EXPECT_TRUE(test::same_lists(combined.expanded(shape.batch, shape.heads),
                               fresh.expanded(shape.batch, shape.heads)));
  EXPECT_EQ(combined.mask_mod().to_string(), mod.to_string());
  EXPECT_FALSE(combined.lists_decide());
}

TEST(CombinedBlockMasks, EqualWhatIsCreatedFromTheCombinedMods) {
  for (const auto& [q_len, kv_len] :
       {std::pair<int64_t, int64_t>(96, 96), {75, 90}, {1, 130}, {0, 8}, {8, 0}}) {
    const Gallery gallery(q_len, kv_len);
    const BlockMaskOptions shape{.q_len = q_len,
                                 .kv_len = kv_len,
                                 .batch = Gallery::kBatch,
                                 .heads = Gallery::kHeads,
                                 .block_size = {8, 16}};
    const auto masks = gallery.masks();
    for (std::size_t i = 0; i < masks.size(); ++i) {
      const auto& [name, first] = masks[i];
      const auto& [other_name, second] = masks[(i * 7 + 3) % masks.size()];
      SCOPED_TRACE(name + ", " + other_name);
      const BlockMask a = create_block_mask(first, shape);
      const BlockMask b = create_block_mask(second, shape);
      expect_as_created(and_masks(a, b), and_masks(first, second), shape);
      expect_as_created(or_masks(a, b), or_masks(first, second), shape);
      expect_as_created(not_mask(a), not_mask(first), shape);
    }
  }
}

TEST(CombinedBlockMasks, OfCoarseListsAreBuiltAnew) {
  const Program causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  const Program window = mask_mod([](auto, auto, auto q, auto kv) { return abs(q - kv) < 9; });
  const BlockMaskOptions shape{.q_len = 60, .kv_len = 50, .block_size = {8, 8}};
  const BlockMask wide =
      create_block_mask(causal, {.q_len = 64, .kv_len = 64, .block_size = {8, 8}});
  const BlockMask merged = create_block_mask(window, shape).without_full_blocks();
  expect_as_created(and_masks(wide.adjusted(60, 50), merged), and_masks(causal, window), shape);
  expect_as_created(not_mask(merged), not_mask(window), shape);
}

TEST(CombinedBlockMasks, LookInsideOnlyWhereBothArePartial) {
  constexpr int64_t kLength = 1 << 20;
  const BlockMaskOptions shape{.q_len = kLength, .kv_len = kLength};
  const BlockMask causal =
      create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; }, shape);
  const BlockMask prefix =
      create_block_mask([](auto, auto, auto, auto kv) { return kv < 1000; }, shape);
  const BlockMask both = or_masks(causal, prefix);
  EXPECT_EQ(both.counts().full + both.counts().partial,
            causal.counts().full + causal.counts().partial + 7 + 6 + 5 + 4 + 3 + 2 + 1);
  EXPECT_LE(both.stats().boxes, 100);
}

}  // namespace
}  // namespace fovea
