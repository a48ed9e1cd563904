// SPDX-License-Identifier: Apache-2.0
//
// Attention under masks that no create_block_mask made: lists of the caller, steps of decoding.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

namespace fovea {
namespace {

struct Inputs {
  Inputs(int64_t q_length, int64_t kv_length) : q_len(q_length), kv_len(kv_length) {
    const auto numbers = [](uint64_t seed, int64_t count) {
      std::vector<float> made(static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < made.size(); ++i) made[i] = Random(seed).normal(i);
      return made;
    };
    queries = numbers(1, kHeads * q_len * kDim);
    keys = numbers(2, kHeads * kv_len * kDim);
    values = numbers(3, kHeads * kv_len * kDim);
  }
  // Rows [position, position + count) of the queries, against all keys.
  std::vector<float> run(const BlockMask& mask, int64_t position, int64_t count,
                         bool reference = false) const {
    const TensorView query = view(queries.data() + position * kDim, {1, kHeads, count, kDim},
                                  {0, q_len * kDim, kDim, 1});
    const TensorView key = view(keys.data(), {1, kHeads, kv_len, kDim});
    const TensorView value = view(values.data(), {1, kHeads, kv_len, kDim});
    std::vector<float> result(static_cast<std::size_t>(kHeads * count * kDim));
    const TensorView out = view(result.data(), {1, kHeads, count, kDim});
    (reference ? reference_attention : flex_attention)(query, key, value, out,
                                                       {.block_mask = mask});
    return result;
  }

  static constexpr int64_t kHeads = 2, kDim = 16;
  int64_t q_len, kv_len;
  std::vector<float> queries, keys, values;
};

void expect_close(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-6F) << i;
}

BlockMask own_lists(const Program& mod, std::optional<int64_t> kv_len = std::nullopt) {
  // Three rows of blocks of 16 x 8; the last has none.
  static const std::vector<int32_t> counts{2, 3, 0}, indices{5, 0, 0, 4, 1, 3, 0, 0, 0};
  static const std::vector<int32_t> full_counts{1, 1, 0}, full_indices{3, 5, 0};
  return BlockMask::from_kv_blocks(
      {.kv_num_blocks = view(counts.data(), {3}),
       .kv_indices = view(indices.data(), {3, 3}),
       .full_kv_num_blocks = view(full_counts.data(), {3}),
       .full_kv_indices = view(full_indices.data(), {3, 1})},
      {.block_size = {16, 8}, .mask_mod = mod, .q_len = 45, .kv_len = kv_len ? *kv_len : 48});
}

// The same as a mask_mod of positions.
BlockMask as_program(bool with_mod, int64_t kv_len) {
  static const std::vector<uint8_t> kinds{1, 0, 0, 2, 0, 1, 0, 1, 0, 1, 1, 2, 0, 0, 0, 0, 0, 0};
  const Capture kind = capture(view(kinds.data(), {3, 6}));
  return create_block_mask(
      [&](auto, auto, auto q, auto kv) {
        const auto block = kind(q / 16, kv / 8);
        const auto mod = with_mod ? (q + kv) % 3 == 0 : Value(true);
        return block == 2 || (block == 1 && mod);
      },
      {.q_len = 45, .kv_len = kv_len});
}

TEST(AttentionWithLists, ListsDecide) {
  const Program third = mask_mod([](auto, auto, auto q, auto kv) { return (q + kv) % 3 == 0; });
  for (const int64_t kv_len : {48, 43}) {
    const Inputs inputs(45, kv_len);
    for (const bool with_mod : {false, true}) {
      const BlockMask mask = own_lists(with_mod ? third : Program(), kv_len);
      const auto expected = inputs.run(as_program(with_mod, kv_len), 0, 45);
      expect_close(inputs.run(mask, 0, 45), expected);
      expect_close(inputs.run(mask, 0, 45, true), expected);
      EXPECT_EQ(expected.back(), 0);  // a row without blocks
    }
  }
}

TEST(AttentionWithLists, SlicesWithAModOfTheirOwn) {
  const Inputs inputs(45, 48);
  const BlockMask part = own_lists({}).index(0, 0, 1).with_mask_mod(
      mask_mod([](auto, auto, auto q, auto kv) { return (q + 16 + kv) % 3 == 0; }));
  const auto whole = inputs.run(as_program(true, 48), 0, 45);
  const auto rows = inputs.run(part, 16, 16);
  for (int64_t h = 0; h < Inputs::kHeads; ++h) {
    for (int64_t i = 0; i < 16 * Inputs::kDim; ++i) {
      ASSERT_NEAR(rows[static_cast<std::size_t>(h * 16 * Inputs::kDim + i)],
                  whole[static_cast<std::size_t>((h * 45 + 16) * Inputs::kDim + i)], 2e-6F);
    }
  }
}

TEST(AttentionWithLists, AMaskWithoutAModIsRefused) {
  const Inputs inputs(16, 48);
  try {
    inputs.run(own_lists({}).index(0, 0, 0), 0, 16);
    FAIL();
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(),
                 "[flex_attention] block_mask must have a mask_mod: expected one set by "
                 "with_mask_mod after index, got a mask that index left without");
  }
}

TEST(Decoding, StepsGiveTheRowsOfTheWhole) {
  constexpr int64_t kLength = 150;
  const Inputs inputs(kLength, kLength);
  const BlockMask mask = create_block_mask(
      [](auto, auto h, auto q, auto kv) { return q >= kv && q - kv < 60 + 30 * h; },
      {.q_len = kLength, .kv_len = kLength, .heads = 2, .block_size = {32, 16}});
  const auto whole = inputs.run(mask, 0, kLength);
  for (const int64_t count : {1, 5}) {
    for (int64_t position = 0; position + count <= kLength; position += 7) {
      const auto step = inputs.run(mask.decode_slice(position, count), position, count);
      for (int64_t h = 0; h < Inputs::kHeads; ++h) {
        for (int64_t i = 0; i < count * Inputs::kDim; ++i) {
          ASSERT_NEAR(step[static_cast<std::size_t>(h * count * Inputs::kDim + i)],
                      whole[static_cast<std::size_t>((h * kLength + position) * Inputs::kDim + i)],
                      2e-6F)
              << position;
        }
      }
    }
  }
}

}  // namespace
}  // namespace fovea
