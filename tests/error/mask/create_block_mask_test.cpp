// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <gtest/gtest.h>

#include <fovea/block_mask.h>
#include <fovea/error.h>

namespace fovea {
namespace {

constexpr auto kCausal = [](auto, auto, auto q, auto kv) { return q >= kv; };

template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no error";
}

std::string create(const BlockMaskOptions& options) {
  return message_of([&] { create_block_mask(kCausal, options); });
}

TEST(CreateBlockMaskError, NegativeLengths) {
  EXPECT_EQ(create({.q_len = -1, .kv_len = 8}),
            "[create_block_mask] q_len must not be negative: expected at least 0, got -1");
  EXPECT_EQ(create({.q_len = 8, .kv_len = -3}),
            "[create_block_mask] kv_len must not be negative: expected at least 0, got -3");
}

TEST(CreateBlockMaskError, BatchAndHeads) {
  EXPECT_EQ(create({.q_len = 8, .kv_len = 8, .batch = 0}),
            "[create_block_mask] batch must be positive: expected at least 1, got 0");
  EXPECT_EQ(create({.q_len = 8, .kv_len = 8, .heads = -2}),
            "[create_block_mask] heads must be positive: expected at least 1, got -2");
}

TEST(CreateBlockMaskError, BlockSize) {
  EXPECT_EQ(create({.q_len = 8, .kv_len = 8, .block_size = {0, 128}}),
            "[create_block_mask] block_size.q must be positive: expected at least 1, got 0");
  EXPECT_EQ(create({.q_len = 8, .kv_len = 8, .block_size = {128, -1}}),
            "[create_block_mask] block_size.kv must be positive: expected at least 1, got -1");
}

TEST(CreateBlockMaskError, TooManyBlocks) {
  const int64_t many = int64_t{1} << 40;
  EXPECT_EQ(create({.q_len = many, .kv_len = 8}),
            "[create_block_mask] blocks along q must fit 32 bits: expected at most 2147483647, got "
            "8589934592");
  EXPECT_EQ(
      create({.q_len = 8, .kv_len = many}),
      "[create_block_mask] blocks along kv must fit 32 bits: expected at most 2147483647, got "
      "8589934592");
}

TEST(CreateBlockMaskError, TooLong) {
  EXPECT_EQ(create({.q_len = INT64_MAX, .kv_len = 8, .block_size = {int64_t{1} << 60, 128}}),
            "[create_block_mask] q_len must fit: expected at most 1152921504606846976, got "
            "9223372036854775807");
  EXPECT_EQ(create({.q_len = 8, .kv_len = 8, .block_size = {128, (int64_t{1} << 60) + 1}}),
            "[create_block_mask] kv block size must fit: expected at most 1152921504606846976, got "
            "1152921504606846977");
}

TEST(CreateBlockMaskError, NotAMaskMod) {
  const Program score = score_mod([](auto s, auto, auto, auto q, auto kv) { return s + (q - kv); });
  EXPECT_EQ(message_of([&] { create_block_mask(score, {.q_len = 8, .kv_len = 8}); }),
            "[create_block_mask] program must be a mask_mod: expected (b, h, q, kv) -> bool, got a "
            "score_mod");
  EXPECT_EQ(message_of([&] { create_block_mask(Program(), {.q_len = 8, .kv_len = 8}); }),
            "[create_block_mask] mask_mod must not be empty: expected a mask_mod, got an empty "
            "program");
}

TEST(CreateBlockMaskError, ProvenOutOfRangeCapture) {
  const std::vector<int32_t> table(5);
  const Capture t = capture(view(table.data(), {5}));
  EXPECT_EQ(message_of([&] {
              create_block_mask([&](auto, auto, auto q, auto kv) { return t[q + 5] == t[kv]; },
                                {.q_len = 8, .kv_len = 5});
            }),
            "[create_block_mask] index 0 of captured tensor t0: expected 0 to 4, got 5 to 12");
}

// Not proven before the run (some elements are inside), found when the element is looked at.
TEST(CreateBlockMaskError, OutOfRangeElement) {
  const std::vector<int32_t> table{1, 0, 1, 0, 1};
  const Capture t = capture(view(table.data(), {5}));
  EXPECT_NE(message_of([&] {
              create_block_mask([&](auto, auto, auto, auto kv) { return t[kv] == 1; },
                                {.q_len = 8, .kv_len = 8, .block_size = {1, 1}});
            }),
            "no error");
}

TEST(BlockMaskError, EmptyMaskHasNoFaces) {
  EXPECT_EQ(message_of([] { (void)BlockMask().rows(); }),
            "[BlockMask] mask must not be empty: expected one made by create_block_mask or "
            "BlockMask::from_kv_blocks, got a default-constructed one");
}

TEST(BlockMaskError, IndicesOutsideTheMask) {
  const BlockMask mask = create_block_mask(
      [](auto b, auto, auto q, auto kv) { return q >= kv + b; },
      {.q_len = 32, .kv_len = 48, .batch = 2, .heads = 3, .block_size = {16, 16}});
  EXPECT_EQ(message_of([&] { (void)mask.full(0, 0, 2); }),
            "[BlockMask] row index must be inside the mask: expected 0 <= row < 2, got 2");
  EXPECT_EQ(message_of([&] { (void)mask.partial_in_column(0, 0, -1); }),
            "[BlockMask] column index must be inside the mask: expected 0 <= column < 3, got -1");
  EXPECT_EQ(message_of([&] { (void)mask.full(2, 0, 0); }),
            "[BlockMask] b index must be inside the mask: expected 0 <= b < 2, got 2");
  EXPECT_EQ(message_of([&] { (void)mask.full(0, -1, 0); }),
            "[BlockMask] h index must be inside the mask: expected 0 <= h < 1, got -1");
}

TEST(BlockMaskError, PictureWithoutCells) {
  const BlockMask mask = create_block_mask(kCausal, {.q_len = 32, .kv_len = 32});
  EXPECT_EQ(message_of([&] { (void)mask.to_string(0, 0, 0, 20); }),
            "[BlockMask] picture must have a row and a column: expected max_rows >= 1 and "
            "max_columns >= 1, got 0 and 20");
}

}  // namespace
}  // namespace fovea
