// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/mask/position_mask.h"

namespace fovea {
namespace {

constexpr auto kCausal = [](auto, auto, auto q, auto kv) { return q >= kv; };

std::vector<BlockRun> list(std::span<const BlockRun> runs) { return {runs.begin(), runs.end()}; }

// Three rows of three blocks of 16: partial {2, 0}, {}, {1}; full {1}, {0, 1, 2}, {}.
template <class T>
struct Lists {
  std::vector<T> counts{2, 0, 1};
  std::vector<T> indices{2, 0, 99, 99, 99, 99, 1, 99, 99};  // what is not counted is not read
  std::vector<T> full_counts{1, 3, 0};
  std::vector<T> full_indices{1, 99, 99, 0, 1, 2, 99, 99, 99};

  KvBlocks blocks() const {
    return {.kv_num_blocks = view(counts.data(), {1, 1, 3}),
            .kv_indices = view(indices.data(), {1, 1, 3, 3}),
            .full_kv_num_blocks = view(full_counts.data(), {1, 1, 3}),
            .full_kv_indices = view(full_indices.data(), {1, 1, 3, 3})};
  }
};

template <class T>
void expect_lists() {
  const Lists<T> lists;
  const BlockMask mask = BlockMask::from_kv_blocks(lists.blocks(), {.block_size = {16, 16}});
  EXPECT_EQ(mask.shape(), (std::array<int64_t, 4>{1, 1, 48, 48}));
  EXPECT_EQ(list(mask.partial(0, 0, 0)), (std::vector<BlockRun>{{2, 3}, {0, 1}}));
  EXPECT_EQ(list(mask.full(0, 0, 0)), (std::vector<BlockRun>{{1, 2}}));
  EXPECT_EQ(list(mask.full(0, 0, 1)), (std::vector<BlockRun>{{0, 3}}));
  EXPECT_EQ(list(mask.partial(0, 0, 2)), (std::vector<BlockRun>{{1, 2}}));
  EXPECT_EQ(list(mask.full_in_column(0, 0, 1)), (std::vector<BlockRun>{{0, 2}}));
  EXPECT_EQ(list(mask.partial_in_column(0, 0, 2)), (std::vector<BlockRun>{{0, 1}}));
  EXPECT_EQ(mask.counts().full, 4);
  EXPECT_EQ(mask.counts().partial, 3);
  EXPECT_EQ(mask.counts().skipped, 2);
  EXPECT_TRUE(mask.lists_decide());
}

TEST(FromKvBlocks, ReadsEveryIntegerTypeAndKeepsTheOrder) {
  expect_lists<int64_t>();
  expect_lists<int32_t>();
  expect_lists<int16_t>();
  expect_lists<int8_t>();
  expect_lists<uint8_t>();
}

TEST(FromKvBlocks, WithoutAModAllOfAPartialBlockIsAllowed) {
  const Lists<int32_t> lists;
  const BlockMask mask = BlockMask::from_kv_blocks(lists.blocks(), {.block_size = {16, 16}});
  const auto positions = test::positions_of(mask, 0, 0);
  for (std::size_t q = 0; q < 48; ++q) {
    for (std::size_t kv = 0; kv < 48; ++kv) {
      const bool allowed = q < 32 || kv / 16 == 1;
      EXPECT_EQ(positions[q * 48 + kv], allowed ? 1 : 0) << q << ", " << kv;
    }
  }
}

TEST(FromKvBlocks, WithoutFullListsAllBlocksArePartial) {
  const Lists<int32_t> lists;
  KvBlocks blocks = lists.blocks();
  blocks.full_kv_num_blocks = blocks.full_kv_indices = {};
  const BlockMask mask =
      BlockMask::from_kv_blocks(blocks, {.block_size = {16, 16}, .mask_mod = mask_mod(kCausal)});
  EXPECT_EQ(mask.counts().full, 0);
  EXPECT_EQ(mask.counts().partial, 3);
  EXPECT_EQ(mask.mask_mod().structure_hash(), mask_mod(kCausal).structure_hash());
  EXPECT_EQ(test::positions_of(mask, 0, 0)[20], 0);  // block 1 of row 0 is not listed
}

TEST(FromKvBlocks, CompactListsAndRaggedLengths) {
  const std::vector<int32_t> counts{1, 2}, indices{7, 0, 4, 2};
  const BlockMask mask = BlockMask::from_kv_blocks(
      {.kv_num_blocks = view(counts.data(), {2}), .kv_indices = view(indices.data(), {2, 2})},
      {.block_size = {16, 8}, .q_len = 17, .kv_len = 61});
  EXPECT_EQ(mask.shape(), (std::array<int64_t, 4>{1, 1, 17, 61}));
  EXPECT_EQ(mask.columns(), 8);
  EXPECT_EQ(list(mask.partial(0, 0, 0)), (std::vector<BlockRun>{{7, 8}}));
  EXPECT_EQ(list(mask.partial(0, 0, 1)), (std::vector<BlockRun>{{4, 5}, {2, 3}}));
}

TEST(FromKvBlocks, ReadsAnyStridesAndEveryPlane) {
  // [batch 2, heads 1, rows 2, capacity 2], the last two dimensions exchanged in memory.
  const std::vector<int16_t> counts{1, 2, 0, 1};
  const std::vector<int16_t> indices{1, 0, 9, 1, 9, 0, 9, 9};
  const BlockMask mask =
      BlockMask::from_kv_blocks({.kv_num_blocks = view(counts.data(), {2, 1, 2}),
                                 .kv_indices = view(indices.data(), {2, 1, 2, 2}, {4, 4, 1, 2})},
                                {.block_size = {4, 4}});
  EXPECT_EQ(mask.batch(), 2);
  EXPECT_EQ(list(mask.partial(0, 0, 0)), (std::vector<BlockRun>{{1, 2}}));
  EXPECT_EQ(list(mask.partial(0, 0, 1)), (std::vector<BlockRun>{{0, 2}}));
  EXPECT_TRUE(mask.partial(1, 0, 0).empty());
  EXPECT_EQ(list(mask.partial(1, 0, 1)), (std::vector<BlockRun>{{0, 1}}));
}

TEST(FromKvBlocks, OfNothing) {
  const int32_t none = 0;
  for (const auto& [rows, capacity] : {std::pair<int64_t, int64_t>(0, 3), {3, 0}, {0, 0}}) {
    const std::vector<int32_t> zeros(3);
    const BlockMask mask =
        BlockMask::from_kv_blocks({.kv_num_blocks = view(zeros.data(), {1, 1, rows}),
                                   .kv_indices = view(&none, {1, 1, rows, capacity})},
                                  {.block_size = {8, 8}});
    EXPECT_EQ(mask.rows(), rows);
    EXPECT_EQ(mask.columns(), capacity);
    EXPECT_EQ(mask.counts().total(), rows * capacity);
    EXPECT_EQ(mask.counts().skipped, rows * capacity);
  }
}

TEST(FromKvBlocks, TakesBackWhatPaddedListsGive) {
  const BlockMask mask = create_block_mask(
      [](auto b, auto h, auto q, auto kv) { return q >= kv + 5 * b && q - kv < 20 + 30 * h; },
      {.q_len = 100, .kv_len = 90, .batch = 2, .heads = 3, .block_size = {8, 16}});
  const PaddedLists lists = mask.padded_lists();
  const Dims lines{lists.batch, lists.heads, lists.rows};
  const Dims grid{lists.batch, lists.heads, lists.rows, lists.columns};
  const BlockMask again = BlockMask::from_kv_blocks(
      {.kv_num_blocks = view(lists.kv_num_blocks.data(), lines),
       .kv_indices = view(lists.kv_indices.data(), grid),
       .full_kv_num_blocks = view(lists.full_kv_num_blocks.data(), lines),
       .full_kv_indices = view(lists.full_kv_indices.data(), grid)},
      {.block_size = {8, 16}, .mask_mod = mask.mask_mod(), .q_len = 100, .kv_len = 90});
  EXPECT_TRUE(test::same_lists(mask, again));
}

}  // namespace
}  // namespace fovea
