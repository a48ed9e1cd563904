// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include <gtest/gtest.h>

#include <fovea/block_mask_file.h>
#include <fovea/error.h>
#include "unit/analysis/gallery.h"
#include "unit/mask/position_mask.h"

namespace fovea {
namespace {

using test::Gallery;

TEST(BlockMaskFile, RoundTripOfTheGallery) {
  for (const auto& [q_len, kv_len] : {std::pair<int64_t, int64_t>(100, 130), {0, 0}, {1, 0}}) {
    const Gallery gallery(q_len, kv_len);
    for (const auto& [name, program] : gallery.masks()) {
      SCOPED_TRACE(name);
      const BlockMask mask = create_block_mask(program, {.q_len = q_len,
                                                         .kv_len = kv_len,
                                                         .batch = Gallery::kBatch,
                                                         .heads = Gallery::kHeads,
                                                         .block_size = {16, 8}});
      const auto bytes = save_block_mask(mask);
      const BlockMask again = load_block_mask(bytes);
      EXPECT_TRUE(test::same_lists(mask, again));
      EXPECT_EQ(again.mask_mod().to_string(), program.to_string());
      EXPECT_EQ(again.mask_mod().structure_hash(), program.structure_hash());
      EXPECT_EQ(again.counts().full, mask.counts().full);
      EXPECT_EQ(save_block_mask(again), bytes);
      for (int64_t b = 0; b < mask.batch(); ++b) {
        for (int64_t h = 0; h < mask.heads(); ++h) {
          ASSERT_EQ(test::positions_of(again, b, h), test::positions_of(mask, b, h));
        }
      }
    }
  }
}

// The loaded mask, and what is made of it, lives on without the tensors of the saved one.
TEST(BlockMaskFile, OwnsItsTensors) {
  std::vector<std::byte> bytes;
  test::Positions expected;
  {
    std::vector<int64_t> ids(50);
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i) / 9;
    const int16_t shift = 3;
    const Capture doc = capture(view(ids.data() + 49, {50}, {-1}));
    const Capture far = capture(view(&shift, {4, 7}, {0, 0}));
    const BlockMask mask =
        create_block_mask([&](auto, auto, auto q,
                              auto kv) { return doc[q] == doc[kv] || q - kv > far[q % 4][kv % 7]; },
                          {.q_len = 50, .kv_len = 50, .block_size = {8, 8}});
    bytes = save_block_mask(mask);
    expected = test::positions_of(mask, 0, 0);
    ids.assign(50, -1);
  }
  EXPECT_LT(bytes.size(), 50U * 8 + 2000);  // the repeated tensor is stored once
  BlockMask derived;
  {
    const BlockMask mask = load_block_mask(bytes);
    EXPECT_EQ(test::positions_of(mask, 0, 0), expected);
    EXPECT_EQ(mask.mask_mod().captures()[1].strides, (Dims{0, 0}));
    derived = not_mask(not_mask(mask.transposed().transposed().decode_slice(0, 50)));
  }
  EXPECT_EQ(test::positions_of(derived, 0, 0), expected);
}

TEST(BlockMaskFile, KeepsListsOfTheirOwn) {
  const std::vector<uint8_t> counts{2, 1}, indices{3, 1, 0, 9};
  const BlockMask mask = BlockMask::from_kv_blocks(
      {.kv_num_blocks = view(counts.data(), {2}), .kv_indices = view(indices.data(), {2, 2})},
      {.block_size = {4, 4}, .kv_len = 15});
  const BlockMask again = load_block_mask(save_block_mask(mask));
  EXPECT_TRUE(test::same_lists(mask, again));
  EXPECT_TRUE(again.lists_decide());
  const BlockMask part = load_block_mask(save_block_mask(mask.index(0, 0, 1)));
  EXPECT_FALSE(part.mask_mod());
  EXPECT_TRUE(test::same_lists(part, mask.index(0, 0, 1)));
  const BlockMask wide = load_block_mask(save_block_mask(mask.expanded(3, 2)));
  EXPECT_EQ(wide.full(2, 1, 0).data(), wide.full(0, 0, 0).data());  // stored once
}

TEST(BlockMaskFile, OnDisk) {
  const auto file = std::filesystem::temp_directory_path() / "fovea_block_mask_file_test.fbm";
  const BlockMask mask =
      create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv && q - kv < 300; },
                        {.q_len = 1000, .kv_len = 1000});
  save_block_mask(mask, file);
  const BlockMask again = load_block_mask(file);
  std::filesystem::remove(file);
  EXPECT_TRUE(test::same_lists(mask, again));
}

TEST(BlockMaskFile, SmallForLongMasks) {
  const BlockMask mask = create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                           {.q_len = 1 << 20, .kv_len = 1 << 20});
  const auto bytes = save_block_mask(mask);
  EXPECT_LT(bytes.size(), 300'000U);
  EXPECT_TRUE(test::same_lists(load_block_mask(bytes), mask));
}

}  // namespace
}  // namespace fovea
