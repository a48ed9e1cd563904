// SPDX-License-Identifier: Apache-2.0
//
// Random masks, cut, turned, combined, saved: always what the positions say.
#include <gtest/gtest.h>

#include <fovea/block_mask_file.h>
#include <fovea/error.h>
#include "property/program/random_program.h"
#include "unit/mask/position_mask.h"

namespace fovea {
namespace {

using test::Dice;
using test::Positions;
using test::positions_of;

struct Case {
  Program program, other;
  BlockMaskOptions shape;
  int64_t b = 0, h = 0;
};

Case random_case(uint64_t seed, std::string& trace) {
  constexpr std::array<int64_t, 9> kLengths = {0, 1, 2, 7, 16, 31, 33, 64, 70};
  constexpr std::array<int64_t, 6> kBlocks = {1, 3, 8, 16, 32, 50};
  Case result;
  test::RandomProgramOptions options{.steps = 1 + static_cast<int>(seed % 20), .faults = false};
  const auto first = test::random_program(seed, options);
  const auto second = test::random_program(seed + 1000000, options);
  result.program = first.program;
  result.other = second.program;
  Dice dice(seed ^ 0x71c3);
  result.shape = {.q_len = dice.pick(kLengths),
                  .kv_len = dice.pick(kLengths),
                  .batch = 2,
                  .heads = 2,
                  .block_size = {dice.pick(kBlocks), dice.pick(kBlocks)}};
  result.b = dice.below(2);
  result.h = dice.below(2);
  trace = "seed " + std::to_string(seed) + ", " + std::to_string(result.shape.q_len) + " x " +
          std::to_string(result.shape.kv_len) + ", block " +
          std::to_string(result.shape.block_size.q) + " x " +
          std::to_string(result.shape.block_size.kv) + "\n" + first.code + second.code;
  return result;
}

template <class F>
void for_cases(uint64_t count, F&& check) {
  for (uint64_t seed = 1; seed <= count; ++seed) {
    std::string trace;
    const Case random = random_case(seed, trace);
    SCOPED_TRACE(trace);
    const BlockMask mask = create_block_mask(random.program, random.shape);
    check(random, mask.expanded(2, 2), Dice(seed ^ 0x55));
    if (testing::Test::HasFatalFailure()) return;
  }
}

Positions rows_of(const Positions& all, int64_t width, int64_t first, int64_t count) {
  const auto begin = all.begin() + first * width;
  return {begin, begin + count * width};
}

TEST(RandomBlockMasks, TransposedTwiceIsTheSame) {
  for_cases(400, [](const Case& random, const BlockMask& mask, Dice) {
    const BlockMask turned = mask.transposed();
    ASSERT_TRUE(test::is_consistent(turned));
    const auto all = positions_of(mask, random.b, random.h);
    const auto exchanged = positions_of(turned, random.b, random.h);
    const auto q_len = static_cast<std::size_t>(mask.q_len());
    const auto kv_len = static_cast<std::size_t>(mask.kv_len());
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(all[i], exchanged[i % kv_len * q_len + i / kv_len]);
    }
    const BlockMask back = turned.transposed();
    ASSERT_TRUE(test::same_lists(back, mask));
    ASSERT_EQ(back.mask_mod().to_string(), mask.mask_mod().to_string());
  });
}

TEST(RandomBlockMasks, SliceOfSlice) {
  for_cases(400, [](const Case&, const BlockMask& mask, Dice dice) {
    const auto slice = [&dice](int64_t size) {
      const int64_t begin = dice.below(size + 1);
      return std::pair(begin, begin + dice.below(size - begin + 1));
    };
    const auto [b0, b1] = slice(2);
    const auto [r0, r1] = slice(mask.rows());
    const BlockMask once = mask.index(BlockIndex::slice(b0, b1), {}, BlockIndex::slice(r0, r1));
    const auto [s0, s1] = slice(r1 - r0);
    const BlockMask twice = once.index({}, -1, BlockIndex::slice(s0, s1));
    const BlockMask direct =
        mask.index(BlockIndex::slice(b0, b1), 1, BlockIndex::slice(r0 + s0, r0 + s1));
    ASSERT_TRUE(test::same_lists(twice, direct));
    ASSERT_TRUE(test::is_consistent(twice));
  });
}

TEST(RandomBlockMasks, DecodeSlicesAreRows) {
  for_cases(400, [](const Case& random, const BlockMask& mask, Dice dice) {
    const auto all = positions_of(mask, random.b, random.h);
    const int64_t position = dice.below(mask.q_len() + 1);
    const int64_t count = dice.below(mask.q_len() - position + 1);
    const BlockMask part = mask.decode_slice(position, count);
    ASSERT_EQ(positions_of(part, random.b, random.h), rows_of(all, mask.kv_len(), position, count));
    const int64_t inner = dice.below(count + 1);
    const BlockMask again = part.decode_slice(inner, count - inner);
    ASSERT_EQ(positions_of(again, random.b, random.h),
              rows_of(all, mask.kv_len(), position + inner, count - inner));
    ASSERT_TRUE(test::is_consistent(again));
    const BlockMask cut = part.adjusted(dice.below(count + 1), mask.kv_len());
    ASSERT_EQ(positions_of(cut, random.b, random.h),
              rows_of(all, mask.kv_len(), position, cut.q_len()));
  });
}

TEST(RandomBlockMasks, SaveAndLoad) {
  for_cases(400, [](const Case& random, const BlockMask& mask, Dice dice) {
    const BlockMask saved = dice.chance(50) ? mask : mask.transposed().without_full_blocks();
    const auto bytes = save_block_mask(saved);
    const BlockMask again = load_block_mask(bytes);
    ASSERT_TRUE(test::same_lists(saved, again));
    ASSERT_EQ(again.mask_mod().to_string(), saved.mask_mod().to_string());
    ASSERT_EQ(positions_of(again, random.b, random.h), positions_of(saved, random.b, random.h));
    ASSERT_EQ(save_block_mask(again), bytes);
  });
}

TEST(RandomBlockMasks, CombinedEqualBruteForce) {
  for_cases(400, [](const Case& random, const BlockMask& mask, Dice) {
    const BlockMask other = create_block_mask(random.other, random.shape);
    const auto expect = [&](const BlockMask& combined, const Program& mod) {
      const test::DenseMask dense(mod, random.b, random.h, random.shape.q_len, random.shape.kv_len);
      ASSERT_EQ(difference(combined, dense, random.b, random.h), "");
    };
    expect(and_masks(mask, other), and_masks(random.program, random.other));
    expect(or_masks(mask, other), or_masks(random.program, random.other));
    expect(not_mask(mask), not_mask(random.program));
    const BlockMask twice = not_mask(not_mask(mask));
    ASSERT_TRUE(test::same_lists(twice, mask));
  });
}

// Random lists, in any order, and with any capacity.
TEST(RandomBlockLists, GoInAndOut) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    const int64_t rows = dice.below(6), columns = dice.below(9);
    PaddedLists lists;
    for (int64_t row = 0; row < rows; ++row) {
      std::vector<int32_t> order(static_cast<std::size_t>(columns));
      for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = static_cast<int32_t>(i);
        std::swap(order[i], order[static_cast<std::size_t>(dice.below(int64_t(i) + 1))]);
      }
      // The first are full, the next partial; what follows must stand ascending.
      const int64_t full = dice.below(columns + 1), partial = dice.below(columns - full + 1);
      const auto add = [&](int64_t begin, int64_t end, std::vector<int32_t>& counts,
                           std::vector<int32_t>& indices) {
        std::vector<int32_t> line(order.begin() + begin, order.begin() + end), rest;
        for (int32_t i = 0; i < columns; ++i) {
          if (std::find(line.begin(), line.end(), i) == line.end()) rest.push_back(i);
        }
        counts.push_back(static_cast<int32_t>(end - begin));
        indices.insert(indices.end(), line.begin(), line.end());
        indices.insert(indices.end(), rest.begin(), rest.end());
      };
      add(0, full, lists.full_kv_num_blocks, lists.full_kv_indices);
      add(full, full + partial, lists.kv_num_blocks, lists.kv_indices);
    }
    const int32_t none = 0;
    const auto tensor = [&](const std::vector<int32_t>& values, const Dims& sizes) {
      return view(values.empty() ? &none : values.data(), sizes);
    };
    const BlockMask mask = BlockMask::from_kv_blocks(
        {.kv_num_blocks = tensor(lists.kv_num_blocks, {rows}),
         .kv_indices = tensor(lists.kv_indices, {rows, columns}),
         .full_kv_num_blocks = tensor(lists.full_kv_num_blocks, {rows}),
         .full_kv_indices = tensor(lists.full_kv_indices, {rows, columns})},
        {.block_size = {4, 4}});
    ASSERT_TRUE(test::is_consistent(mask));
    const PaddedLists out = mask.padded_lists();
    ASSERT_EQ(out.kv_num_blocks, lists.kv_num_blocks);
    ASSERT_EQ(out.kv_indices, lists.kv_indices);
    ASSERT_EQ(out.full_kv_num_blocks, lists.full_kv_num_blocks);
    ASSERT_EQ(out.full_kv_indices, lists.full_kv_indices);
    ASSERT_TRUE(test::same_lists(load_block_mask(save_block_mask(mask)), mask));
    ASSERT_TRUE(test::same_lists(mask.transposed().transposed(), mask));
  }
}

}  // namespace
}  // namespace fovea
