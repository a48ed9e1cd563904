// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "unit/cpu/backward_harness.h"

/// Gradients behind masks: which elements count, and that nothing of the others reaches a gradient.
namespace fovea::cpu::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct NamedMod {
  const char* name;
  Program mod;
};

std::vector<NamedMod> masks() {
  return {
      {"causal", mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; })},
      {"window", mask_mod([](auto, auto, auto q, auto kv) { return q >= kv && q - kv < 20; })},
      {"prefix", mask_mod([](auto, auto, auto q, auto kv) { return q >= kv || kv < 30; })},
      {"documents", mask_mod([](auto, auto, auto q, auto kv) { return q / 37 == kv / 37; })},
      {"by head", mask_mod([](auto, auto h, auto q, auto kv) { return q >= kv || h == 1; })},
      {"by batch", mask_mod([](auto b, auto, auto q, auto kv) { return q - kv < 25 * b + 5; })},
      {"odd keys", mask_mod([](auto, auto, auto, auto kv) { return kv % 2 == 1; })},
      {"no key for some",
       mask_mod([](auto, auto, auto q, auto kv) { return q % 3 == 0 && kv < 50; })},
      {"nothing", mask_mod([](auto, auto, auto q, auto) { return q < 0; })},
  };
}

BlockMask block_mask(const Program& mod, const Shape& s, BlockSize size) {
  return create_block_mask(mod, {.q_len = s.q_len,
                                 .kv_len = s.kv_len,
                                 .batch = s.batch,
                                 .heads = s.q_heads,
                                 .block_size = size});
}

TEST(BackwardMask, EveryMaskWithEveryBlockSize) {
  const Shape shape{
      .q_len = 90, .kv_len = 110, .head_dim = 8, .batch = 2, .q_heads = 2, .kv_heads = 1};
  BackwardCase c(shape);
  for (const NamedMod& mask : masks()) {
    c.inputs.options.block_mask = block_mask(mask.mod, shape, {64, 64});
    c.prepare();
    const Gradients expected = c.reference();
    for (const BlockSize size : {BlockSize{128, 128}, BlockSize{64, 64}, BlockSize{32, 16},
                                 BlockSize{7, 5}, BlockSize{1, 1}, BlockSize{500, 3}}) {
      c.inputs.options.block_mask = block_mask(mask.mod, shape, size);
      for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
        EXPECT_TRUE(is_near(c.run(kernels, 2), expected, 1e-5))
            << mask.name << ", block " << size.q << " x " << size.kv << ", " << kernels.name;
      }
    }
  }
}

TEST(BackwardMask, SameBitsForAnyNumberOfThreads) {
  const Shape shape{.q_len = 133, .kv_len = 700, .head_dim = 16, .q_heads = 4, .kv_heads = 2};
  BackwardCase c(shape);
  for (const std::size_t i : {0U, 1U, 4U, 7U}) {
    const NamedMod mask = masks()[i];
    c.inputs.options.block_mask = block_mask(mask.mod, shape, {64, 64});
    c.prepare();
    for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
      const Gradients expected = c.run(kernels, 1);
      for (const int threads : {2, 3, 7}) {
        EXPECT_TRUE(c.run(kernels, threads) == expected)
            << mask.name << ", " << threads << ", " << kernels.name;
      }
    }
  }
}

// Lists in any order, that decide: as other libraries make them.
TEST(BackwardMask, BlockListsInAnyOrder) {
  const Shape shape{.q_len = 40, .kv_len = 60, .head_dim = 8};
  BackwardCase c(shape);
  const std::vector<int32_t> partial_count{3, 0, 1, 2}, full_count{1, 2, 0, 4};
  const std::vector<int32_t> partial{5, 0, 2, 9, 9, 9, 1, 9, 9, 4, 0, 9};
  const std::vector<int32_t> full{1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 3, 1, 2};
  KvBlocks blocks;
  blocks.kv_num_blocks = view(partial_count.data(), {1, 1, 4});
  blocks.kv_indices = view(partial.data(), {1, 1, 4, 3});
  blocks.full_kv_num_blocks = view(full_count.data(), {1, 1, 4});
  blocks.full_kv_indices = view(full.data(), {1, 1, 4, 4});
  for (const int64_t width : {10, 11}) {
    c.inputs.options.block_mask = BlockMask::from_kv_blocks(
        blocks,
        {.block_size = {10, width},
         .mask_mod = mask_mod([](auto, auto, auto q, auto kv) { return (q + kv) % 3 != 0; }),
         .q_len = 40,
         .kv_len = 60});
    EXPECT_TRUE(c.is_right()) << width;
  }
}

TEST(BackwardMask, RowsWithoutKeysHaveZeroGradients) {
  const Shape shape{.q_len = 70, .kv_len = 64, .head_dim = 8};
  BackwardCase c(shape);
  c.inputs.options.block_mask =
      block_mask(mask_mod([](auto, auto, auto q, auto kv) { return q >= 10 && q < 60 && kv < q; }),
                 shape, {16, 16});
  for (const int64_t row : {0, 9, 60, 69}) {
    for (std::size_t e = 0; e < 8; ++e) c.dout_data[static_cast<std::size_t>(row) * 8 + e] = kNan;
    c.dlse_data[static_cast<std::size_t>(row)] = kInf;
  }
  c.prepare();
  for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
    const Gradients got = c.run(kernels);
    for (const std::size_t row : {0u, 9u, 60u, 69u}) {
      for (std::size_t e = 0; e < 8; ++e) EXPECT_EQ(got.query[row * 8 + e], 0.0f);
    }
  }
  EXPECT_TRUE(c.is_right());
}

// Keys, values, queries and their gradients that are behind the mask for all that see anything.
TEST(BackwardMask, NothingLeaksFromBehindTheMask) {
  const Shape shape{.q_len = 150, .kv_len = 300, .head_dim = 16, .value_dim = 20};
  const auto allowed = [](auto, auto, auto q, auto kv) {
    return kv <= q * 3 && kv % 5 != 2 && q % 7 != 3;
  };
  for (const float poison : {kNan, kInf, -kInf}) {
    BackwardCase c(shape);
    const auto spoil = [&](std::vector<float>& data, std::size_t row, std::size_t width) {
      for (std::size_t e = 0; e < width; ++e) data[row * width + e] = poison;
    };
    for (const std::size_t kv : {2u, 7u, 102u, 297u}) {
      spoil(c.inputs.key_data, kv, 16);
      spoil(c.inputs.value_data, kv, 20);
    }
    for (const std::size_t q : {3u, 10u, 101u}) {
      spoil(c.inputs.query_data, q, 16);
      spoil(c.dout_data, q, 20);
    }
    c.inputs.options.block_mask = block_mask(mask_mod(allowed), shape, {32, 64});
    EXPECT_TRUE(c.is_right()) << poison;
    for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
      const Gradients got = c.run(kernels);
      for (const auto* gradient : {&got.query, &got.key, &got.value}) {
        for (const float x : *gradient) ASSERT_TRUE(std::isfinite(x)) << poison;
      }
    }

    // The same by a score_mod.
    c.inputs.options.block_mask = {};
    c.inputs.options.score_mod = score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
      return where(allowed(b, h, q, kv), s, -kInf);
    });
    EXPECT_TRUE(c.is_right()) << poison;
  }
}

// Causal: what sees the poison is what the reference says, everything else is clean.
TEST(BackwardMask, VisibleNanDoesAsInTheReference) {
  const Shape shape{.q_len = 150, .kv_len = 150, .head_dim = 16};
  for (const int which : {0, 1, 2, 3}) {
    BackwardCase c(shape);
    std::vector<float>* data[] = {&c.inputs.query_data, &c.inputs.key_data, &c.inputs.value_data,
                                  &c.dout_data};
    (*data[which])[70 * 16 + 3] = kNan;
    EXPECT_TRUE(c.is_right()) << which;
    c.inputs.options.block_mask =
        block_mask(mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; }), shape, {32, 32});
    EXPECT_TRUE(c.is_right()) << which;
  }
}

}  // namespace
}  // namespace fovea::cpu::testing
