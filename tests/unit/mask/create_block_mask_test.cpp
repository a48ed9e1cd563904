// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <gtest/gtest.h>

#include <fovea/random.h>
#include <fovea/vector.h>
#include "unit/analysis/gallery.h"
#include "unit/mask/brute_force.h"

namespace fovea {
namespace {

using test::DenseMask;
using test::Gallery;

struct Lengths {
  int64_t q, kv;
};

void compare_gallery(Lengths lengths, std::span<const BlockSize> sizes) {
  const Gallery gallery(lengths.q, lengths.kv);
  for (const auto& [name, program] : gallery.masks()) {
    for (int64_t b = 0; b < Gallery::kBatch; ++b) {
      for (int64_t h = 0; h < Gallery::kHeads; ++h) {
        const DenseMask dense(program, b, h, lengths.q, lengths.kv);
        bool stored_once = false;
        for (const BlockSize size : sizes) {
          const BlockMask mask = create_block_mask(program, {.q_len = lengths.q,
                                                             .kv_len = lengths.kv,
                                                             .batch = Gallery::kBatch,
                                                             .heads = Gallery::kHeads,
                                                             .block_size = size});
          EXPECT_EQ(difference(mask, dense, b, h), "")
              << name << " at " << lengths.q << " x " << lengths.kv << ", block " << size.q << " x "
              << size.kv << ", b " << b << ", h " << h;
          stored_once = mask.batch() == 1 && mask.heads() == 1;
        }
        if (stored_once) h = Gallery::kHeads, b = Gallery::kBatch;
      }
    }
  }
}

TEST(CreateBlockMask, EqualsBruteForceAtShortLengths) {
  constexpr std::array<BlockSize, 6> kSizes{
      {{1, 1}, {16, 16}, {100, 100}, {128, 128}, {64, 256}, {3, 50}}};
  constexpr std::array<int64_t, 5> kLengths{0, 1, 7, 127, 129};
  for (const int64_t q : kLengths) {
    for (const int64_t kv : kLengths) compare_gallery({q, kv}, kSizes);
  }
}

TEST(CreateBlockMask, EqualsBruteForceAtLongLengths) {
  constexpr std::array<BlockSize, 4> kSizes{{{16, 16}, {100, 100}, {128, 128}, {64, 256}}};
  for (const Lengths lengths : {Lengths{1023, 1023}, Lengths{1, 1023}, Lengths{1023, 129}}) {
    compare_gallery(lengths, kSizes);
  }
}

TEST(CreateBlockMask, BlocksLargerThanThePlaneAreAtMostPartial) {
  const BlockMask mask =
      create_block_mask([](auto, auto, auto, auto) { return Value(true); },
                        {.q_len = 100, .kv_len = 60, .block_size = {int64_t{1} << 60, 1 << 30}});
  EXPECT_EQ(mask.rows(), 1);
  EXPECT_EQ(mask.columns(), 1);
  EXPECT_EQ(mask.counts().partial, 1);
}

TEST(CreateBlockMask, StoresAPlaneOnceUnlessTheMaskReadsBatchOrHead) {
  const BlockMaskOptions options{
      .q_len = 64, .kv_len = 64, .batch = 3, .heads = 5, .block_size = {16, 16}};
  const auto shape = [&](auto mod) {
    const BlockMask mask = create_block_mask(mod, options);
    return std::pair(mask.batch(), mask.heads());
  };
  using Pair = std::pair<int64_t, int64_t>;
  EXPECT_EQ(shape([](auto, auto, auto q, auto kv) { return q >= kv; }), Pair(1, 1));
  EXPECT_EQ(shape([](auto b, auto, auto q, auto kv) { return q >= kv + b; }), Pair(3, 1));
  EXPECT_EQ(shape([](auto, auto h, auto q, auto kv) { return q >= kv + h; }), Pair(1, 5));
  EXPECT_EQ(shape([](auto b, auto h, auto q, auto kv) { return q + b >= kv + h; }), Pair(3, 5));
}

TEST(CreateBlockMask, KeepsTheMaskModAsGiven) {
  const Program mod = mask_mod([](auto, auto, auto q, auto kv) { return q + 0 >= kv; });
  const BlockMask mask = create_block_mask(mod, {.q_len = 4, .kv_len = 4});
  EXPECT_EQ(mask.mask_mod().structure_hash(), mod.structure_hash());
}

// Each cost below is far under what looking at every block would take.
TEST(CreateBlockMask, CostsTheBlocksListedAndNotThePlane) {
  const auto cost = [](auto mod) {
    const BlockMask mask = create_block_mask(mod, {.q_len = 1 << 20, .kv_len = 1 << 20});
    EXPECT_LT(mask.memory_bytes(), 16 << 20);
    return mask.stats();
  };
  EXPECT_EQ(cost([](auto, auto, auto, auto) { return Value(true); }).boxes, 1);
  const auto causal = cost([](auto, auto, auto q, auto kv) { return q >= kv; });
  EXPECT_LE(causal.boxes, 40000);
  EXPECT_LE(causal.leaf_evaluations, 1000);  // one diagonal
  const auto rows = cost([](auto, auto, auto q, auto) { return q % 3 == 0; });
  EXPECT_LE(rows.boxes, 40000);  // a row's blocks are all alike: never cut along kv
}

TEST(CreateBlockMask, DocumentsInAnyOrderOfIdsStayCheap) {
  constexpr int64_t kLength = 1 << 18;
  std::vector<int32_t> ids(kLength);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>(i / 1021 * 7919 % 257);
  }
  const Capture doc = capture(view(ids.data(), {kLength}));
  const BlockMask mask =
      create_block_mask([&](auto, auto, auto q, auto kv) { return doc[q] == doc[kv]; },
                        {.q_len = kLength, .kv_len = kLength});
  const int64_t elements = kLength * kLength;
  EXPECT_LT(mask.stats().leaf_evaluations, elements / 1000);
  EXPECT_LT(mask.stats().boxes, 2'000'000);
}

// Rows that each name a few blocks, in no order: the ranges of the names say nothing.
TEST(CreateBlockMask, RandomBlocksStayCheap) {
  constexpr int64_t kLength = 1 << 18, kTiles = kLength / 64, kPicks = 4;
  std::vector<int32_t> picks(kTiles * kPicks);
  for (std::size_t i = 0; i < picks.size(); ++i) {
    picks[i] = static_cast<int32_t>(Random(5).below(i, kTiles));
  }
  const Capture table = capture(view(picks.data(), {kTiles, kPicks}));
  const BlockMask mask = create_block_mask(
      [&](auto, auto, auto q, auto kv) { return any(table.row(q / 64) == kv / 64); },
      {.q_len = kLength, .kv_len = kLength});
  EXPECT_LT(mask.stats().boxes, 32 * mask.counts().partial);
  EXPECT_LT(mask.stats().leaves, 2 * mask.counts().partial);
}

}  // namespace
}  // namespace fovea
