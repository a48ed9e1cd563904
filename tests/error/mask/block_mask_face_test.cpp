// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fovea/block_mask.h>
#include "error/mask/message_of.h"

namespace fovea {
namespace {

using test::message_of;

constexpr auto kCausal = [](auto, auto, auto q, auto kv) { return q >= kv; };

BlockMask causal(int64_t length = 40, int64_t block = 16) {
  return create_block_mask(kCausal,
                           {.q_len = length, .kv_len = length, .block_size = {block, block}});
}

BlockMask own() {
  static const std::vector<int32_t> counts{1, 2}, indices{0, 9, 0, 1};
  return BlockMask::from_kv_blocks(
      {.kv_num_blocks = view(counts.data(), {2}), .kv_indices = view(indices.data(), {2, 2})},
      {.block_size = {16, 16}});
}

TEST(BlockMaskFaceError, TooLargeToMaterialise) {
  const BlockMask mask = causal(1 << 20, 128);
  EXPECT_EQ(message_of([&] { (void)mask.expanded(2, 4).padded_lists(); }),
            "[BlockMask::padded_lists] 2 x 4 planes of 8192 x 8192 blocks must fit max_bytes: "
            "expected at most 2147483648 bytes, got 8590983168");
  EXPECT_EQ(message_of([&] { (void)mask.to_dense(1000); }),
            "[BlockMask::to_dense] 1 x 1 planes of 8192 x 8192 blocks must fit max_bytes: expected "
            "at most 1000 bytes, got 67108864");
  EXPECT_EQ(message_of([] { create_mask(mask_mod(kCausal), {.q_len = 100000, .kv_len = 100000}); }),
            "[create_mask] mask must fit max_bytes: expected at most 2147483648 bytes, got "
            "10000000000");
  const int64_t huge = int64_t{1} << 62;
  EXPECT_EQ(message_of([&] { create_mask(mask_mod(kCausal), {.q_len = huge, .kv_len = huge}); }),
            "[create_mask] mask must fit max_bytes: expected at most 2147483648 bytes, got "
            "9223372036854775807");
}

TEST(BlockMaskFaceError, CreateMask) {
  const Program mod = mask_mod(kCausal);
  EXPECT_EQ(message_of([] { create_mask(Program(), {.q_len = 1, .kv_len = 1}); }),
            "[create_mask] mod must not be empty: expected a mask_mod or score_mod, got an empty "
            "program");
  EXPECT_EQ(message_of([&] { create_mask(mod, {.q_len = -1, .kv_len = 1}); }),
            "[create_mask] q_len must not be negative: expected at least 0, got -1");
  EXPECT_EQ(message_of([&] { create_mask(mod, {.q_len = 1, .kv_len = -1}); }),
            "[create_mask] kv_len must not be negative: expected at least 0, got -1");
  EXPECT_EQ(message_of([&] { create_mask(mod, {.q_len = 1, .kv_len = 1, .batch = -1}); }),
            "[create_mask] batch must not be negative: expected at least 0, got -1");
  EXPECT_EQ(message_of([&] { create_mask(mod, {.q_len = 1, .kv_len = 1, .heads = -1}); }),
            "[create_mask] heads must not be negative: expected at least 0, got -1");
}

TEST(BlockMaskFaceError, Numel) {
  const BlockMask mask = create_block_mask(
      kCausal, {.q_len = 1 << 30, .kv_len = 1 << 30, .block_size = {1 << 30, 1 << 30}});
  EXPECT_EQ(message_of([&] { (void)mask.expanded(4, 2).numel(); }),
            "[BlockMask] number of elements must fit 64 bits: expected less than 2^63 - 1, got "
            "more");
}

TEST(BlockMaskFaceError, Index) {
  const BlockMask mask = causal();
  EXPECT_EQ(message_of([&] { mask.index(1); }),
            "[BlockMask::index] batch index must be inside the mask: expected -1 to 0, got 1");
  EXPECT_EQ(message_of([&] { mask.index(0, -2); }),
            "[BlockMask::index] head index must be inside the mask: expected -1 to 0, got -2");
  EXPECT_EQ(message_of([&] { mask.index(0, 0, BlockIndex::list({0, 3})); }),
            "[BlockMask::index] row index must be inside the mask: expected -3 to 2, got 3");
  const int64_t most = int64_t{1} << 60;
  const BlockMask one_row =
      create_block_mask([](auto, auto, auto, auto) { return Value(true); },
                        {.q_len = most, .kv_len = most, .block_size = {most, most}});
  EXPECT_EQ(message_of([&] { one_row.index(0, 0, BlockIndex::list(std::vector<int64_t>(9))); }),
            "[BlockMask::index] q_len must fit: expected at most 1152921504606846976, got "
            "9223372036854775807");
  EXPECT_EQ(message_of([] { BlockIndex::slice(0, 3, 0); }),
            "[BlockIndex::slice] step must be positive: expected at least 1, got 0");
  EXPECT_EQ(message_of([] { BlockMask().index(0); }),
            "[BlockMask::index] mask must not be empty: expected one made by create_block_mask or "
            "BlockMask::from_kv_blocks, got a default-constructed one");
}

TEST(BlockMaskFaceError, ScoreModForAMaskMod) {
  const Program score = score_mod([](auto s, auto, auto, auto, auto) { return s; });
  EXPECT_EQ(message_of([&] { causal().with_mask_mod(score); }),
            "[BlockMask::with_mask_mod] mask_mod must be a mask program: expected (b, h, q, kv) -> "
            "bool, got a score_mod");
}

TEST(BlockMaskFaceError, DecodeSlice) {
  EXPECT_EQ(message_of([] { causal().decode_slice(41, 0); }),
            "[BlockMask::decode_slice] position must be inside the mask: expected 0 to 40, got 41");
  EXPECT_EQ(message_of([] { causal().decode_slice(-1); }),
            "[BlockMask::decode_slice] position must be inside the mask: expected 0 to 40, got -1");
  EXPECT_EQ(message_of([] { causal().decode_slice(40); }),
            "[BlockMask::decode_slice] rows must be inside the mask: expected 0 to 0, got 1");
  EXPECT_EQ(message_of([] { causal().decode_slice(30, -1); }),
            "[BlockMask::decode_slice] rows must be inside the mask: expected 0 to 10, got -1");
  EXPECT_EQ(message_of([] { own().decode_slice(10, 8); }),
            "[BlockMask::decode_slice] a mask whose lists decide must be cut at its blocks: "
            "expected rows of one block, or a position that is a multiple of 16, got 10");
}

TEST(BlockMaskFaceError, AdjustedAndExpanded) {
  EXPECT_EQ(message_of([] { causal().adjusted(41, 40); }),
            "[BlockMask::adjusted] q_len must not grow: expected 0 to 40, got 41");
  EXPECT_EQ(message_of([] { causal().adjusted(40, -1); }),
            "[BlockMask::adjusted] kv_len must not grow: expected 0 to 40, got -1");
  EXPECT_EQ(message_of([] { causal().expanded(2, 3).expanded(4, 3); }),
            "[BlockMask::expanded] batch must be the mask's, unless that is stored once: expected "
            "2, got 4");
  EXPECT_EQ(message_of([] { causal().expanded(1, -1); }),
            "[BlockMask::expanded] heads must be the mask's, unless they are stored once: expected "
            "at least 0, got -1");
}

TEST(BlockMaskFaceError, Combined) {
  EXPECT_EQ(message_of([] { and_masks(causal(40), causal(41)); }),
            "[and_masks] masks must have the same q_len: expected 40, got 41");
  EXPECT_EQ(message_of([] { or_masks(causal(40), causal(40).adjusted(40, 30)); }),
            "[or_masks] masks must have the same kv_len: expected 40, got 30");
  EXPECT_EQ(message_of([] { or_masks(causal(40, 16), causal(40, 8)); }),
            "[or_masks] masks must have the same block_size: expected 16 x 16, got 8 x 8");
  EXPECT_EQ(message_of([] { and_masks(causal().expanded(2, 1), causal().expanded(3, 1)); }),
            "[and_masks] masks must have the same batch, or one of 1: expected 2, got 3");
  EXPECT_EQ(message_of([] { and_masks(causal().expanded(1, 2), causal().expanded(1, 3)); }),
            "[and_masks] masks must have the same heads, or one of 1: expected 2, got 3");
  EXPECT_EQ(message_of([] { not_mask(own()); }),
            "[not_mask] masks whose lists decide have no mod that says it all: expected masks of "
            "create_block_mask, got one of BlockMask::from_kv_blocks or index");
  EXPECT_EQ(message_of([] { or_masks(causal(), causal().index(0)); }),
            "[or_masks] masks whose lists decide have no mod that says it all: expected masks of "
            "create_block_mask, got one of BlockMask::from_kv_blocks or index");
}

}  // namespace
}  // namespace fovea
