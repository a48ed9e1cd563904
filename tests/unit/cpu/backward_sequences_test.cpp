// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "unit/cpu/backward_harness.h"
#include "unit/cpu/sequence_cases.h"

/// Gradients of jagged batches and of keys with lengths.
namespace fovea::cpu::testing {
namespace {

const Lengths kLengths{{7, 0, 129, 1, 127, 5, 0}, {129, 9, 127, 7, 1, 0, 0}};

/// The tensors of a jagged batch with gradients of its outputs.
struct JaggedCase {
  JaggedCase(const Lengths& lengths, const Shape& dims)
      : jagged(lengths, dims), c(jagged.inputs.shape) {
    c.inputs.options = jagged.inputs.options;
  }
  Jagged jagged;
  BackwardCase c;
};

void use(JaggedCase& call, const Variant& variant) {
  call.jagged.use(variant);
  call.c.inputs.options = call.jagged.inputs.options;
}

const Variant kVariants[] = {
    {.name = "plain"},
    {.name = "causal",
     .mask_mod =
         [](int64_t) { return mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; }); }},
    {.name = "by batch and head",
     .score_mod =
         [](int64_t b0) {
           return score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
             return s - 0.01f * (b + b0 + h) * abs(q - kv);
           });
         },
     .mask_mod =
         [](int64_t b0) {
           return mask_mod([=](auto b, auto h, auto q, auto kv) {
             return abs(q - kv) < 9 * (b + b0) + 20 * h + 3;
           });
         }},
    {.name = "from the end", .causal = Causal::lower_right},
};

TEST(BackwardSequences, JaggedBatches) {
  JaggedCase call(kLengths, {.head_dim = 16, .value_dim = 21, .q_heads = 4, .kv_heads = 2});
  for (const Variant& variant : kVariants) {
    use(call, variant);
    EXPECT_TRUE(call.c.is_right(2)) << variant.name;
  }
}

// Rows of 16-bit gradients are summed apart, and converted after a sequence's last chunk.
TEST(BackwardSequences, LongAndShortOnesInHalfPrecision) {
  JaggedCase call({{40, 3, 70}, {1300, 20, 700}}, {.head_dim = 16});
  call.c.inputs.types = {DType::bf16, DType::bf16, DType::bf16, DType::bf16};
  EXPECT_TRUE(call.c.is_right(2, 0x1p-7));
}

TEST(BackwardSequences, SameBitsForAnyNumberOfThreads) {
  Lengths lengths{{70, 1, 300}, {1300, 20, 700}};
  for (int64_t i = 0; i < 30; ++i) {
    lengths.q.push_back(i * 7 % 40);
    lengths.kv.push_back(i * 11 % 50);
  }
  JaggedCase call(lengths, {.head_dim = 16, .q_heads = 2, .kv_heads = 2});
  for (const Variant& variant : {kVariants[1], kVariants[2]}) {
    use(call, variant);
    call.c.prepare();
    for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
      const Gradients expected = call.c.run(kernels, 1);
      for (const int threads : {2, 3, 7}) {
        EXPECT_TRUE(call.c.run(kernels, threads) == expected)
            << kernels.name << ", " << threads << " threads, " << variant.name;
      }
    }
  }
}

// The padding holds NaN, and its gradient is 0. Keys of batch 1 are shared by sequences of other lengths.
TEST(BackwardSequences, KeysWithLengths) {
  for (const bool shared : {false, true}) {
    BackwardCase c({.q_len = 40,
                    .kv_len = 700,
                    .head_dim = 16,
                    .value_dim = 5,
                    .batch = 6,
                    .q_heads = 4,
                    .kv_heads = 2});
    c.shared_keys = shared;
    const std::vector<int64_t> lengths{0, 600, 1, 7, 127, 0};
    c.inputs.options.kv_lens = view(lengths.data(), {6});
    const auto poison = [&](std::vector<float>& data, int64_t dim) {
      for (std::size_t i = 0; i < data.size(); ++i) {
        const auto row = static_cast<int64_t>(i) / dim, b = row / 700 / 2;
        if (row % 700 >= (shared ? 600 : lengths[static_cast<std::size_t>(b)])) {
          data[i] = std::numeric_limits<float>::quiet_NaN();
        }
      }
    };
    poison(c.inputs.key_data, 16);
    poison(c.inputs.value_data, 5);
    EXPECT_TRUE(c.is_right(2)) << shared;
    const Gradients got = c.run(all_backward_kernels().front(), 2);
    EXPECT_TRUE(std::ranges::all_of(got.key, [](float x) { return std::isfinite(x); }));
    EXPECT_EQ(got.key[650 * 16], 0.0f);
    c.inputs.options.block_mask =
        create_block_mask([](auto b, auto, auto q, auto kv) { return q * 20 + b > kv; },
                          {.q_len = 40, .kv_len = 640, .batch = 6, .block_size = {16, 64}});
    EXPECT_TRUE(c.is_right(3)) << shared;
  }
}

TEST(BackwardSequences, JaggedWithLengthsOfKeys) {
  JaggedCase call({{20, 30, 9}, {50, 40, 0}}, {.head_dim = 8});
  const std::vector<int32_t> lengths{33, 0, 0};
  call.c.inputs.options.kv_lens = view(lengths.data(), {3});
  EXPECT_TRUE(call.c.is_right(2));
  const Gradients got = call.c.run(all_backward_kernels().front());
  for (std::size_t i = 33 * 8; i < 90 * 8; ++i) ASSERT_EQ(got.key[i], 0.0f) << i;
}

}  // namespace
}  // namespace fovea::cpu::testing
