// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fovea/block_mask.h>
#include "error/mask/message_of.h"

namespace fovea {
namespace {

// Two rows of two blocks each, right as it is; a test breaks one thing.
struct Valid {
  std::vector<int32_t> counts{2, 1}, indices{0, 1, 1, 0};
  std::vector<int32_t> full_counts{0, 1}, full_indices{0, 0, 0, 0};
  KvBlocks blocks;
  KvBlocksOptions options{.block_size = {8, 8}};

  Valid() {
    blocks = {.kv_num_blocks = view(counts.data(), {1, 1, 2}),
              .kv_indices = view(indices.data(), {1, 1, 2, 2}),
              .full_kv_num_blocks = view(full_counts.data(), {1, 1, 2}),
              .full_kv_indices = view(full_indices.data(), {1, 1, 2, 2})};
  }
  std::string message() const {
    const std::string text = test::message_of([&] { BlockMask::from_kv_blocks(blocks, options); });
    const std::string where = "[BlockMask::from_kv_blocks] ";
    return text.starts_with(where) ? text.substr(where.size()) : text;
  }
};

TEST(FromKvBlocksError, ValidIsNone) { EXPECT_EQ(Valid().message(), "no error"); }

TEST(FromKvBlocksError, IndexOutside) {
  Valid high;
  high.indices[1] = 2;
  EXPECT_EQ(high.message(),
            "kv_indices[0, 0, 0, 1] must be a block column: expected 0 to 1, got 2");
  Valid low;
  low.full_indices[2] = -1;
  EXPECT_EQ(low.message(),
            "full_kv_indices[0, 0, 1, 0] must be a block column: expected 0 to 1, got -1");
  Valid none;
  none.options.kv_len = 0;
  EXPECT_EQ(none.message(), "kv_indices[0, 0, 0, 0] must be a block column: expected none, got 0");
}

TEST(FromKvBlocksError, CountBeyondTheCapacity) {
  Valid high;
  high.counts[0] = 3;
  EXPECT_EQ(high.message(),
            "kv_num_blocks[0, 0, 0] must fit the last size of kv_indices: expected 0 to 2, got 3");
  Valid low;
  low.full_counts[1] = -1;
  EXPECT_EQ(low.message(),
            "full_kv_num_blocks[0, 0, 1] must fit the last size of full_kv_indices: expected 0 to "
            "2, got -1");
}

TEST(FromKvBlocksError, BlockListedTwice) {
  Valid twice;
  twice.indices[1] = 0;
  EXPECT_EQ(
      twice.message(),
      "kv_indices must list a block once: block 0 of row [0, 0, 0]: expected once, got twice");
  Valid both;
  both.full_indices[2] = 1;
  EXPECT_EQ(both.message(),
            "a block must be full or partial: block 1 of row [0, 0, 1]: expected in one list, got "
            "in both");
}

TEST(FromKvBlocksError, NotIntegers) {
  const std::vector<float> floats(4);
  Valid indices;
  indices.blocks.kv_indices = view(floats.data(), {1, 1, 2, 2});
  EXPECT_EQ(indices.message(),
            "kv_indices must hold integers: expected i64, i32, i16, i8 or u8, got f32");
  const bool flags[2] = {true, false};
  Valid counts;
  counts.blocks.full_kv_num_blocks = view(flags, {1, 1, 2});
  EXPECT_EQ(counts.message(),
            "full_kv_num_blocks must hold integers: expected i64, i32, i16, i8 or u8, got bool");
}

TEST(FromKvBlocksError, Shapes) {
  Valid rank;
  rank.blocks.kv_indices = view(rank.indices.data(), {4});
  EXPECT_EQ(rank.message(),
            "kv_indices must have 2 to 4 dimensions (batch, heads, rows, capacity): expected 2 to "
            "4, got 1");
  Valid counts;
  counts.blocks.kv_num_blocks = view(counts.counts.data(), {1, 2, 1});
  EXPECT_EQ(counts.message(),
            "kv_num_blocks must have the shape of kv_indices but the last size: expected [1, 1, "
            "2], got [1, 2, 1]");
  Valid full;
  full.blocks.full_kv_num_blocks = view(full.full_counts.data(), {1, 1, 1});
  full.blocks.full_kv_indices = view(full.full_indices.data(), {1, 1, 1, 2});
  EXPECT_EQ(full.message(),
            "full_kv_num_blocks must have the shape of kv_num_blocks: expected [1, 1, 2], got [1, "
            "1, 1]");
  Valid negative;
  negative.blocks.kv_indices.sizes[3] = -2;
  EXPECT_EQ(negative.message(),
            "kv_indices sizes must not be negative: expected at least 0, got -2");
}

TEST(FromKvBlocksError, HalfAPair) {
  Valid counts;
  counts.blocks.full_kv_indices = {};
  EXPECT_EQ(counts.message(),
            "full_kv_num_blocks and full_kv_indices must come together: expected both or none, got "
            "full_kv_num_blocks alone");
  Valid indices;
  indices.blocks.full_kv_num_blocks = {};
  EXPECT_EQ(indices.message(),
            "full_kv_num_blocks and full_kv_indices must come together: expected both or none, got "
            "full_kv_indices alone");
}

TEST(FromKvBlocksError, Memory) {
  Valid null;
  null.blocks.kv_indices.data = nullptr;
  EXPECT_EQ(null.message(), "kv_indices must have memory: expected a pointer, got null");
  Valid device;
  device.blocks.kv_num_blocks.device.type = DeviceType::cuda;
  EXPECT_EQ(device.message(), "kv_num_blocks must be on the cpu: expected cpu, got cuda");
}

TEST(FromKvBlocksError, LengthsAndBlockSize) {
  Valid rows;
  rows.options.q_len = 17;
  EXPECT_EQ(rows.message(), "rows of kv_num_blocks must be the blocks of q_len: expected 3, got 2");
  Valid negative;
  negative.options.kv_len = -1;
  EXPECT_EQ(negative.message(), "kv_len must not be negative: expected at least 0, got -1");
  Valid size;
  size.options.block_size.q = 0;
  EXPECT_EQ(size.message(), "block_size.q must be positive: expected at least 1, got 0");
  Valid many;
  many.options.kv_len = int64_t{1} << 40;
  EXPECT_EQ(many.message(),
            "blocks along kv must fit 32 bits: expected at most 2147483647, got 137438953472");
}

TEST(FromKvBlocksError, ScoreMod) {
  Valid score;
  score.options.mask_mod = score_mod([](auto s, auto, auto, auto, auto) { return s; });
  EXPECT_EQ(score.message(),
            "mask_mod must be a mask program: expected (b, h, q, kv) -> bool, got a score_mod");
}

}  // namespace
}  // namespace fovea
