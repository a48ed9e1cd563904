// SPDX-License-Identifier: Apache-2.0
#include "mask/mask_of_tensor.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>

namespace fovea {
namespace {

struct Sizes {
  int64_t batch, heads, q_len, kv_len;
};

// One byte a position. `pattern` 0: blocks of all kinds; 1: all allowed; 2: none.
std::vector<uint8_t> bytes_of(const Dims& sizes, int pattern) {
  std::vector<uint8_t> bytes;
  const Random random(5);
  for (int64_t p = 0; p < sizes[0] * sizes[1]; ++p) {
    for (int64_t q = 0; q < sizes[2]; ++q) {
      for (int64_t kv = 0; kv < sizes[3]; ++kv) {
        const int64_t kind = (p + q / 100 + kv / 150) % 3;
        const bool some = random.below(bytes.size(), 50) != 0;
        // Any byte but 0 is true.
        const bool allowed = pattern == 1 || (pattern == 0 && (kind == 1 || (kind == 2 && some)));
        bytes.push_back(allowed ? static_cast<uint8_t>(1 + bytes.size() % 255) : 0);
      }
    }
  }
  return bytes;
}

void expect_same_lists(const BlockMask& got, const BlockMask& want, const std::string& where) {
  const auto list = [](std::span<const BlockRun> runs) {
    return std::vector<BlockRun>(runs.begin(), runs.end());
  };
  ASSERT_EQ(got.rows(), want.rows()) << where;
  ASSERT_EQ(got.columns(), want.columns()) << where;
  for (int64_t b = 0; b < got.batch(); ++b) {
    for (int64_t h = 0; h < got.heads(); ++h) {
      for (int64_t row = 0; row < got.rows(); ++row) {
        ASSERT_EQ(list(got.full(b, h, row)), list(want.full(b, h, row))) << where << " row " << row;
        ASSERT_EQ(list(got.partial(b, h, row)), list(want.partial(b, h, row)))
            << where << " row " << row;
      }
      for (int64_t column = 0; column < got.columns(); ++column) {
        ASSERT_EQ(list(got.full_in_column(b, h, column)), list(want.full_in_column(b, h, column)));
        ASSERT_EQ(list(got.partial_in_column(b, h, column)),
                  list(want.partial_in_column(b, h, column)));
      }
    }
  }
}

// What create_block_mask makes of the same mod, which the result carries.
void check(const Sizes& full, const TensorView& allowed, const std::string& where) {
  const BlockMask got =
      mask::mask_of_tensor("test", allowed, full.q_len, full.kv_len, default_executor());
  const BlockMask want = create_block_mask(
      got.mask_mod(),
      {.q_len = full.q_len, .kv_len = full.kv_len, .batch = full.batch, .heads = full.heads});
  expect_same_lists(got, want, where);
  EXPECT_FALSE(got.lists_decide());
}

TEST(MaskOfTensor, IsWhatCreateBlockMaskMakes) {
  for (const Sizes& full : {Sizes{2, 3, 130, 300}, Sizes{1, 1, 256, 512}, Sizes{2, 1, 1, 700},
                            Sizes{1, 2, 127, 1}, Sizes{1, 1, 384, 129}}) {
    for (int spread = 0; spread < 16; ++spread) {
      const auto size = [&](int axis, int64_t n) { return (spread >> axis & 1) != 0 ? 1 : n; };
      const Dims sizes{size(0, full.batch), size(1, full.heads), size(2, full.q_len),
                       size(3, full.kv_len)};
      for (int pattern = 0; pattern < 3; ++pattern) {
        const std::vector<uint8_t> bytes = bytes_of(sizes, pattern);
        TensorView allowed = view(bytes.data(), sizes);
        allowed.dtype = DType::boolean;
        check(full, allowed, to_string(sizes) + " pattern " + std::to_string(pattern));
      }
    }
  }
}

TEST(MaskOfTensor, ReadsAnyStrides) {
  const Sizes full{2, 3, 130, 300};
  const std::vector<uint8_t> bytes = bytes_of({2, 3, 300, 130}, 0);
  TensorView allowed = view(bytes.data() + 2 * 3 * 300 * 130 - 1, {2, 3, 130, 300},
                            {-3 * 300 * 130, -300 * 130, -1, -130});
  allowed.dtype = DType::boolean;
  check(full, allowed, "turned and backwards");
}

TEST(MaskOfTensor, OfNothing) {
  TensorView allowed;
  allowed.dtype = DType::boolean;
  for (const Dims& sizes :
       {Dims{0, 3, 5, 7}, Dims{2, 0, 5, 7}, Dims{2, 3, 0, 7}, Dims{2, 3, 5, 0}}) {
    allowed.sizes = sizes;
    allowed.strides = contiguous_strides(sizes);
    const BlockMask mask =
        mask::mask_of_tensor("test", allowed, sizes[2], sizes[3], default_executor());
    EXPECT_EQ(mask.counts().full + mask.counts().partial, 0) << to_string(sizes);
  }
}

}  // namespace
}  // namespace fovea
