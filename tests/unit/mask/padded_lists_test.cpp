// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "unit/analysis/gallery.h"
#include "unit/mask/position_mask.h"

namespace fovea {
namespace {

using test::BlockKind;
using test::DenseMask;
using test::Gallery;

// A line in PyTorch's form: the listed ones ascending, then the others ascending.
struct PaddedLine {
  int32_t count = 0;
  std::vector<int32_t> indices;
};

template <class F>
PaddedLine padded(int64_t length, F&& is_listed) {
  PaddedLine line;
  for (const bool listed : {true, false}) {
    for (int64_t i = 0; i < length; ++i) {
      if (is_listed(i) == listed) line.indices.push_back(static_cast<int32_t>(i));
    }
    if (listed) line.count = static_cast<int32_t>(line.indices.size());
  }
  return line;
}

struct Expected {
  std::vector<int32_t> counts, indices;
  void add(const PaddedLine& line) {
    counts.push_back(line.count);
    indices.insert(indices.end(), line.indices.begin(), line.indices.end());
  }
};

void expect_padded(const BlockMask& mask, const Program& mod) {
  Expected partial, full, partial_in_column, full_in_column;
  std::vector<uint8_t> dense_blocks;
  for (int64_t b = 0; b < mask.batch(); ++b) {
    for (int64_t h = 0; h < mask.heads(); ++h) {
      const DenseMask dense(mod, b, h, mask.q_len(), mask.kv_len());
      const auto is = [&](int64_t row, int64_t column, BlockKind kind) {
        return dense.kind(row, column, mask.block_size().q, mask.block_size().kv) == kind;
      };
      for (int64_t r = 0; r < mask.rows(); ++r) {
        partial.add(
            padded(mask.columns(), [&](int64_t c) { return is(r, c, BlockKind::partial); }));
        full.add(padded(mask.columns(), [&](int64_t c) { return is(r, c, BlockKind::full); }));
        for (int64_t c = 0; c < mask.columns(); ++c) {
          dense_blocks.push_back(is(r, c, BlockKind::skipped) ? 0 : 1);
        }
      }
      for (int64_t c = 0; c < mask.columns(); ++c) {
        partial_in_column.add(
            padded(mask.rows(), [&](int64_t r) { return is(r, c, BlockKind::partial); }));
        full_in_column.add(
            padded(mask.rows(), [&](int64_t r) { return is(r, c, BlockKind::full); }));
      }
    }
  }
  const PaddedLists lists = mask.padded_lists();
  EXPECT_EQ(lists.kv_num_blocks, partial.counts);
  EXPECT_EQ(lists.kv_indices, partial.indices);
  EXPECT_EQ(lists.full_kv_num_blocks, full.counts);
  EXPECT_EQ(lists.full_kv_indices, full.indices);
  EXPECT_EQ(lists.q_num_blocks, partial_in_column.counts);
  EXPECT_EQ(lists.q_indices, partial_in_column.indices);
  EXPECT_EQ(lists.full_q_num_blocks, full_in_column.counts);
  EXPECT_EQ(lists.full_q_indices, full_in_column.indices);
  EXPECT_EQ(mask.to_dense(), dense_blocks);
}

TEST(PaddedLists, EqualBruteForce) {
  constexpr std::array<std::array<int64_t, 2>, 5> kLengths{
      {{0, 0}, {1, 40}, {130, 0}, {129, 200}, {200, 127}}};
  for (const auto& [q_len, kv_len] : kLengths) {
    const Gallery gallery(q_len, kv_len);
    for (const auto& [name, program] : gallery.masks()) {
      SCOPED_TRACE(name + " at " + std::to_string(q_len) + " x " + std::to_string(kv_len));
      for (const BlockSize size : {BlockSize{16, 16}, BlockSize{64, 32}}) {
        expect_padded(create_block_mask(program, {.q_len = q_len,
                                                  .kv_len = kv_len,
                                                  .batch = Gallery::kBatch,
                                                  .heads = Gallery::kHeads,
                                                  .block_size = size}),
                      program);
      }
    }
  }
}

TEST(PaddedLists, KeepTheOrderOfUnorderedLists) {
  const std::vector<int32_t> counts{3}, indices{3, 0, 2, 9};
  const PaddedLists lists = BlockMask::from_kv_blocks({.kv_num_blocks = view(counts.data(), {1}),
                                                       .kv_indices = view(indices.data(), {1, 4})},
                                                      {.block_size = {8, 8}, .kv_len = 40})
                                .padded_lists();
  EXPECT_EQ(lists.kv_indices, (std::vector<int32_t>{3, 0, 2, 1, 4}));
  EXPECT_EQ(lists.q_num_blocks, (std::vector<int32_t>{1, 0, 1, 1, 0}));
}

TEST(CreateMask, EqualsTheInterpreter) {
  const Program mod =
      mask_mod([](auto b, auto h, auto q, auto kv) { return q + 3 * b >= kv || q % 5 == h; });
  const auto mask = create_mask(mod, {.q_len = 21, .kv_len = 34, .batch = 2, .heads = 3});
  ASSERT_EQ(mask.size(), 2U * 3 * 21 * 34);
  std::size_t i = 0;
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t h = 0; h < 3; ++h) {
      const DenseMask dense(mod, b, h, 21, 34);
      for (int64_t q = 0; q < 21; ++q) {
        for (int64_t kv = 0; kv < 34; ++kv) EXPECT_EQ(mask[i++], dense.at(q, kv) ? 1 : 0);
      }
    }
  }
}

TEST(CreateMask, OfAScoreModIsWhereItDoesNotMask) {
  const Program mod = score_mod([](auto score, auto, auto, auto q, auto kv) {
    return where(q >= kv, score - 1000.0, Value(-HUGE_VAL));
  });
  EXPECT_EQ(create_mask(mod, {.q_len = 2, .kv_len = 3}), (std::vector<uint8_t>{1, 0, 0, 1, 1, 0}));
}

TEST(CreateMask, OfNothing) {
  const Program mod = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  EXPECT_TRUE(create_mask(mod, {.q_len = 0, .kv_len = 5}).empty());
  EXPECT_TRUE(create_mask(mod, {.q_len = 5, .kv_len = 0}).empty());
  EXPECT_TRUE(create_mask(mod, {.q_len = 5, .kv_len = 5, .batch = 0}).empty());
}

TEST(BlockMask, SummaryShapeAndNumel) {
  const BlockMask mask = create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                           {.q_len = 4096, .kv_len = 4096});
  EXPECT_EQ(mask.summary(),
            "BlockMask(shape=(1, 1, 4096, 4096), sparsity=48.44%, blocks=32 x 32 of 128 x 128, "
            "full=496, partial=32, skipped=496)");
  EXPECT_EQ(mask.shape(), (std::array<int64_t, 4>{1, 1, 4096, 4096}));
  EXPECT_EQ(mask.numel(), 4096 * 4096);
  EXPECT_EQ(mask.expanded(2, 3).numel(), 6 * 4096 * 4096);
}

}  // namespace
}  // namespace fovea
