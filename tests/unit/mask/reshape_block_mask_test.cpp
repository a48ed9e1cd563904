// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <gtest/gtest.h>

#include "unit/analysis/gallery.h"
#include "unit/mask/position_mask.h"

namespace fovea {
namespace {

using test::DenseMask;
using test::Gallery;
using test::is_consistent;
using test::positions_of;

BlockMask create(const Program& program, int64_t q_len, int64_t kv_len, BlockSize size = {16, 8}) {
  return create_block_mask(program, {.q_len = q_len,
                                     .kv_len = kv_len,
                                     .batch = Gallery::kBatch,
                                     .heads = Gallery::kHeads,
                                     .block_size = size});
}

// Calls check(mask, program, b, h) for the gallery's masks, of 75 x 90.
template <class F>
void for_gallery(F&& check) {
  const Gallery gallery(75, 90);
  for (const auto& [name, program] : gallery.masks()) {
    SCOPED_TRACE(name);
    const BlockMask mask = create(program, 75, 90);
    for (int64_t b = 0; b < mask.batch(); ++b) {
      for (int64_t h = 0; h < mask.heads(); ++h) check(mask, program, b, h);
    }
  }
}

TEST(AdjustedBlockMask, IsTheUpperLeftCorner) {
  for_gallery([](const BlockMask& mask, const Program& program, int64_t b, int64_t h) {
    const DenseMask dense(program, b, h, 75, 90);
    for (const auto& [q_len, kv_len] :
         {std::pair<int64_t, int64_t>(75, 90), {64, 88}, {50, 33}, {1, 1}, {0, 20}, {20, 0}}) {
      const BlockMask cut = mask.adjusted(q_len, kv_len);
      EXPECT_EQ(cut.q_len(), q_len);
      EXPECT_EQ(cut.kv_len(), kv_len);
      EXPECT_FALSE(cut.lists_decide());
      EXPECT_TRUE(is_consistent(cut));
      const auto positions = positions_of(cut, b, h);
      for (int64_t i = 0; i < q_len * kv_len; ++i) {
        ASSERT_EQ(positions[static_cast<std::size_t>(i)] != 0, dense.at(i / kv_len, i % kv_len));
      }
    }
  });
}

TEST(AdjustedBlockMask, DropsTheBlocksOutside) {
  const BlockMask mask =
      create_block_mask([](auto, auto, auto q, auto kv) { return abs(q - kv) <= 20; },
                        {.q_len = 128, .kv_len = 128, .block_size = {16, 16}});
  const BlockMask cut = mask.adjusted(128, 40);
  EXPECT_EQ(cut.columns(), 3);
  EXPECT_TRUE(cut.partial(0, 0, 7).empty());
  EXPECT_LT(cut.counts().partial, mask.counts().partial);
}

TEST(DecodeSlice, SeesTheRowsFromThePosition) {
  for_gallery([](const BlockMask& mask, const Program& program, int64_t b, int64_t h) {
    const DenseMask dense(program, b, h, 75, 90);
    for (const auto& [position, count] :
         {std::pair<int64_t, int64_t>(0, 75), {16, 16}, {74, 1}, {37, 1}, {5, 40}, {75, 0}}) {
      const BlockMask part = mask.decode_slice(position, count);
      EXPECT_EQ(part.q_len(), count);
      EXPECT_EQ(part.kv_len(), 90);
      EXPECT_FALSE(part.lists_decide());
      EXPECT_TRUE(is_consistent(part));
      const auto positions = positions_of(part, b, h);
      const DenseMask moved(part.mask_mod(), b, h, count, 90);  // the mod alone says it too
      for (int64_t q = 0; q < count; ++q) {
        for (int64_t kv = 0; kv < 90; ++kv) {
          const bool allowed = dense.at(position + q, kv);
          ASSERT_EQ(positions[static_cast<std::size_t>(q * 90 + kv)] != 0, allowed);
          ASSERT_EQ(moved.at(q, kv), allowed);
        }
      }
    }
  });
}

TEST(DecodeSlice, EveryStepHasTheSameStructure) {
  const BlockMask mask =
      create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv && q - kv < 100; },
                        {.q_len = 500, .kv_len = 500, .block_size = {16, 16}});
  const BlockMask first = mask.decode_slice(0);
  for (const int64_t position : {1, 99, 100, 499}) {
    const BlockMask step = mask.decode_slice(position);
    EXPECT_EQ(step.mask_mod().structure(), first.mask_mod().structure());
    EXPECT_EQ(step.mask_mod().shared_graph(), first.mask_mod().shared_graph());
    EXPECT_NE(step.mask_mod().to_string(), first.mask_mod().to_string());
  }
  // A slice of a slice adds its position.
  const auto twice = positions_of(mask.decode_slice(200, 100).decode_slice(30, 5), 0, 0);
  EXPECT_EQ(twice, positions_of(mask.decode_slice(230, 5), 0, 0));
}

TEST(DecodeSlice, KeepsFullBlocksFull) {
  const BlockMask mask = create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                           {.q_len = 64, .kv_len = 64, .block_size = {16, 16}});
  const BlockMask step = mask.decode_slice(50).adjusted(1, 51);
  EXPECT_EQ(step.shape(), (std::array<int64_t, 4>{1, 1, 1, 51}));
  EXPECT_EQ(step.counts().full, 3);
  EXPECT_EQ(step.counts().partial, 1);
}

TEST(DecodeSlice, OfListsThatDecideWithinABlock) {
  const std::vector<int32_t> counts{1, 1}, indices{0, 1, 1, 0};
  const BlockMask mask = BlockMask::from_kv_blocks(
      {.kv_num_blocks = view(counts.data(), {2}), .kv_indices = view(indices.data(), {2, 2})},
      {.block_size = {16, 16}});
  EXPECT_EQ(mask.decode_slice(20, 5).partial(0, 0, 0)[0], (BlockRun{1, 2}));
  EXPECT_EQ(mask.decode_slice(0, 32).rows(), 2);
  EXPECT_TRUE(mask.decode_slice(20, 5).lists_decide());
}

TEST(TransposedBlockMask, ExchangesQueriesAndKeys) {
  for_gallery([](const BlockMask& mask, const Program& program, int64_t b, int64_t h) {
    const DenseMask dense(program, b, h, 75, 90);
    const BlockMask turned = mask.transposed();
    EXPECT_EQ(turned.q_len(), 90);
    EXPECT_EQ(turned.kv_len(), 75);
    EXPECT_EQ(turned.block_size(), (BlockSize{8, 16}));
    const DenseMask exchanged(turned.mask_mod(), b, h, 90, 75);
    EXPECT_EQ(difference(turned, exchanged, b, h), "");
    for (int64_t q = 0; q < 75; ++q) {
      for (int64_t kv = 0; kv < 90; ++kv) ASSERT_EQ(exchanged.at(kv, q), dense.at(q, kv));
    }
    EXPECT_TRUE(test::same_lists(turned.transposed(), mask));
    EXPECT_EQ(turned.full_in_column(b, h, 2).data(), mask.full(b, h, 2).data());  // shared
  });
}

TEST(WithoutFullBlocks, ListsThemAsPartial) {
  for_gallery([](const BlockMask& mask, const Program&, int64_t b, int64_t h) {
    const BlockMask merged = mask.without_full_blocks();
    EXPECT_EQ(merged.counts().full, 0);
    EXPECT_EQ(merged.counts().partial, mask.counts().full + mask.counts().partial);
    EXPECT_EQ(merged.to_dense(), mask.to_dense());
    EXPECT_TRUE(is_consistent(merged));
    EXPECT_EQ(positions_of(merged, b, h), positions_of(mask, b, h));
  });
}

TEST(ExpandedBlockMask, RepeatsWhatIsStoredOnce) {
  const BlockMask mask = create_block_mask(
      [](auto, auto h, auto q, auto kv) { return q >= kv + h; },
      {.q_len = 64, .kv_len = 64, .batch = 4, .heads = 2, .block_size = {16, 16}});
  const BlockMask wide = mask.expanded(4, 2);
  EXPECT_EQ(wide.shape(), (std::array<int64_t, 4>{4, 2, 64, 64}));
  EXPECT_EQ(wide.full(3, 1, 2).data(), mask.full(0, 1, 2).data());
  EXPECT_EQ(wide.counts().full, 4 * mask.counts().full);
  EXPECT_DOUBLE_EQ(wide.sparsity(), mask.sparsity());
  EXPECT_EQ(wide.index(2, 1).partial(0, 0, 0).data(), mask.partial(0, 1, 0).data());
  EXPECT_EQ(mask.expanded(0, 2).counts().total(), 0);
}

}  // namespace
}  // namespace fovea
