// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "unit/mask/position_mask.h"

namespace fovea {
namespace {

using Indices = std::vector<int64_t>;

BlockMask batched() {
  return create_block_mask(
      [](auto b, auto h, auto q, auto kv) { return q >= kv + 9 * b && q - kv < 25 * (h + 1); },
      {.q_len = 77, .kv_len = 90, .batch = 3, .heads = 2, .block_size = {8, 16}});
}

Indices resolve(const BlockIndex& index, int64_t size) { return index.resolve(size, "x", "row"); }

TEST(BlockIndex, MeansWhatPythonMeans) {
  EXPECT_EQ(resolve({}, 3), (Indices{0, 1, 2}));
  EXPECT_EQ(resolve(2, 3), (Indices{2}));
  EXPECT_EQ(resolve(-3, 3), (Indices{0}));
  EXPECT_EQ(resolve(BlockIndex::list({2, -1, 0, 2}), 3), (Indices{2, 2, 0, 2}));
  EXPECT_EQ(resolve(BlockIndex::slice(1), 4), (Indices{1, 2, 3}));
  EXPECT_EQ(resolve(BlockIndex::slice(std::nullopt, -1), 4), (Indices{0, 1, 2}));
  EXPECT_EQ(resolve(BlockIndex::slice(-2), 4), (Indices{2, 3}));
  EXPECT_EQ(resolve(BlockIndex::slice(0, 100, 3), 8), (Indices{0, 3, 6}));
  EXPECT_EQ(resolve(BlockIndex::slice(-100, 2), 8), (Indices{0, 1}));
  EXPECT_EQ(resolve(BlockIndex::slice(5, 2), 8), (Indices{}));
  EXPECT_EQ(resolve(BlockIndex::slice(0, 8, INT64_MAX), 8), (Indices{0}));
  EXPECT_EQ(resolve(BlockIndex::all(), 0), (Indices{}));
}

void expect_same_row(const BlockMask& part, const BlockMask& mask, std::array<int64_t, 3> to,
                     std::array<int64_t, 3> from) {
  const auto expect_equal = [](std::span<const BlockRun> a, std::span<const BlockRun> b) {
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  };
  expect_equal(part.full(to[0], to[1], to[2]), mask.full(from[0], from[1], from[2]));
  expect_equal(part.partial(to[0], to[1], to[2]), mask.partial(from[0], from[1], from[2]));
}

void expect_part(const BlockMask& mask, const BlockIndex& batch, const BlockIndex& heads,
                 const BlockIndex& rows) {
  const BlockMask part = mask.index(batch, heads, rows);
  const Indices b = resolve(batch, mask.batch());
  const Indices h = resolve(heads, mask.heads());
  const Indices r = resolve(rows, mask.rows());
  ASSERT_EQ(part.batch(), static_cast<int64_t>(b.size()));
  ASSERT_EQ(part.heads(), static_cast<int64_t>(h.size()));
  ASSERT_EQ(part.rows(), static_cast<int64_t>(r.size()));
  EXPECT_EQ(part.kv_len(), mask.kv_len());
  EXPECT_FALSE(part.mask_mod());
  EXPECT_TRUE(part.lists_decide());
  EXPECT_TRUE(test::is_consistent(part));
  for (std::size_t i = 0; i < b.size(); ++i) {
    for (std::size_t j = 0; j < h.size(); ++j) {
      for (std::size_t k = 0; k < r.size(); ++k) {
        expect_same_row(part, mask,
                        {static_cast<int64_t>(i), static_cast<int64_t>(j), static_cast<int64_t>(k)},
                        {b[i], h[j], r[k]});
      }
    }
  }
}

TEST(BlockMaskIndex, TakesPlanesAndRows) {
  const BlockMask mask = batched();
  expect_part(mask, {}, {}, {});
  expect_part(mask, 1, {}, {});
  expect_part(mask, -1, -2, {});
  expect_part(mask, BlockIndex::slice(0, 2), 1, BlockIndex::slice(2, 7));
  expect_part(mask, BlockIndex::list({2, 0, 2}), BlockIndex::slice(std::nullopt), -1);
  expect_part(mask, {}, {}, BlockIndex::list({9, 0, 3, 3}));
  expect_part(mask, {}, {}, BlockIndex::slice(1, 9, 3));
  expect_part(mask, BlockIndex::slice(5), {}, {});
  expect_part(mask, 0, 0, BlockIndex::list({}));
  expect_part(mask.transposed(), 0, 1, BlockIndex::slice(1, 4));
  expect_part(mask.transposed(), 0, {}, {});
}

TEST(BlockMaskIndex, SharesPlanesThatItDoesNotCut) {
  const BlockMask mask = batched();
  const BlockMask part = mask.index(BlockIndex::list({1, 1}), 0);
  EXPECT_EQ(part.full(0, 0, 5).data(), mask.full(1, 0, 5).data());
  EXPECT_EQ(part.full(1, 0, 5).data(), mask.full(1, 0, 5).data());
  EXPECT_LT(part.memory_bytes(), mask.memory_bytes());
}

// 77 = 9 * 8 + 5: only the last block is short.
TEST(BlockMaskIndex, QueryLengthIsThatOfTheRows) {
  const BlockMask mask = batched();
  EXPECT_EQ(mask.index({}, {}, 3).q_len(), 8);
  EXPECT_EQ(mask.index({}, {}, -1).q_len(), 5);
  EXPECT_EQ(mask.index({}, {}, BlockIndex::slice(-3)).q_len(), 21);
  EXPECT_EQ(mask.index({}, {}, BlockIndex::list({9, 0})).q_len(), 16);
  EXPECT_EQ(mask.index({}, {}, BlockIndex::list({})).q_len(), 0);
}

TEST(BlockMaskIndex, ANewModSeesTheNewPositions) {
  const BlockMask mask = create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                           {.q_len = 64, .kv_len = 64, .block_size = {16, 16}});
  const Program moved = mask_mod([](auto, auto, auto q, auto kv) { return q + 32 >= kv; });
  const BlockMask part = mask.index(0, 0, 2).with_mask_mod(moved);
  EXPECT_TRUE(part.lists_decide());
  const auto positions = test::positions_of(part, 0, 0);
  for (std::size_t q = 0; q < 16; ++q) {
    for (std::size_t kv = 0; kv < 64; ++kv) {
      EXPECT_EQ(positions[q * 64 + kv], q + 32 >= kv ? 1 : 0);
    }
  }
}

}  // namespace
}  // namespace fovea
