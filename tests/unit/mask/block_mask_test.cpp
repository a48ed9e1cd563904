// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fovea/block_mask.h>

namespace fovea {
namespace {

BlockMask causal(int64_t length, int64_t block) {
  return create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                           {.q_len = length, .kv_len = length, .block_size = {block, block}});
}

std::vector<BlockRun> list(std::span<const BlockRun> runs) { return {runs.begin(), runs.end()}; }

TEST(BlockMask, ListsRunsByRowAndByColumn) {
  const BlockMask mask = causal(60, 16);  // four rows, the last one ragged
  ASSERT_TRUE(mask);
  EXPECT_EQ(mask.q_len(), 60);
  EXPECT_EQ(mask.kv_len(), 60);
  EXPECT_EQ(mask.rows(), 4);
  EXPECT_EQ(mask.columns(), 4);
  EXPECT_EQ(mask.block_size().q, 16);
  EXPECT_TRUE(mask.full(0, 0, 0).empty());
  EXPECT_EQ(list(mask.partial(0, 0, 0)), (std::vector<BlockRun>{{0, 1}}));
  EXPECT_EQ(list(mask.full(0, 0, 2)), (std::vector<BlockRun>{{0, 2}}));
  EXPECT_EQ(list(mask.partial(0, 0, 2)), (std::vector<BlockRun>{{2, 3}}));
  EXPECT_TRUE(mask.full(0, 0, 3).empty());  // reaches beyond q_len
  EXPECT_EQ(list(mask.partial(0, 0, 3)), (std::vector<BlockRun>{{0, 4}}));
  EXPECT_EQ(list(mask.full_in_column(0, 0, 0)), (std::vector<BlockRun>{{1, 3}}));
  EXPECT_EQ(list(mask.partial_in_column(0, 0, 0)), (std::vector<BlockRun>{{0, 1}, {3, 4}}));
}

TEST(BlockMask, CountsAndSparsity) {
  const BlockMask mask = causal(64, 16);
  EXPECT_EQ(mask.counts().full, 6);
  EXPECT_EQ(mask.counts().partial, 4);
  EXPECT_EQ(mask.counts().skipped, 6);
  EXPECT_EQ(mask.counts().total(), 16);
  EXPECT_DOUBLE_EQ(mask.sparsity(), 37.5);
  EXPECT_GT(mask.memory_bytes(), 0);
}

TEST(BlockMask, CountsEveryStoredPlane) {
  const BlockMask mask = create_block_mask(
      [](auto b, auto, auto q, auto kv) { return b == 0 || q == kv; },
      {.q_len = 32, .kv_len = 32, .batch = 2, .heads = 4, .block_size = {16, 16}});
  EXPECT_EQ(mask.batch(), 2);
  EXPECT_EQ(mask.heads(), 1);
  EXPECT_EQ(mask.counts().full, 4);
  EXPECT_EQ(mask.counts().partial, 2);
  EXPECT_EQ(mask.counts().skipped, 2);
  EXPECT_EQ(list(mask.full(0, 3, 0)), (std::vector<BlockRun>{{0, 2}}));  // serves every head
  EXPECT_EQ(list(mask.partial(1, 3, 1)), (std::vector<BlockRun>{{1, 2}}));
}

TEST(BlockMask, OfNoElementsHasNoBlocks) {
  for (const auto& [q, kv] : {std::pair(0, 0), std::pair(0, 50), std::pair(50, 0)}) {
    const BlockMask mask = create_block_mask(
        [](auto, auto, auto q_index, auto kv_index) { return q_index >= kv_index; },
        {.q_len = q, .kv_len = kv, .block_size = {16, 16}});
    EXPECT_EQ(mask.counts().total(), 0);
    EXPECT_EQ(mask.sparsity(), 0);
    EXPECT_EQ(mask.rows(), q == 0 ? 0 : 4);
    EXPECT_EQ(mask.columns(), kv == 0 ? 0 : 4);
    for (int64_t row = 0; row < mask.rows(); ++row) EXPECT_TRUE(mask.partial(0, 0, row).empty());
  }
}

TEST(BlockMask, DefaultConstructedMeansNoMask) {
  const BlockMask none;
  EXPECT_FALSE(none);
  const BlockMask copy = causal(16, 16);
  EXPECT_TRUE(copy);
}

TEST(BlockMask, PictureOfWholeBlocks) {
  EXPECT_EQ(causal(64, 16).to_string(),
            "░░      \n"
            "██░░    \n"
            "████░░  \n"
            "██████░░\n");
}

TEST(BlockMask, PictureMixesBlocksIntoCells) {
  EXPECT_EQ(causal(8 * 16, 16).to_string(0, 0, 4, 2),
            "░░  \n"
            "░░  \n"
            "██░░\n"
            "██░░\n");
  EXPECT_EQ(causal(7 * 16, 16).to_string(0, 0, 2, 2),
            "░░  \n"
            "██░░\n");
}

}  // namespace
}  // namespace fovea
