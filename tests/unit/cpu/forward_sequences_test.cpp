// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/attention/sequence_order.h"
#include "unit/cpu/sequence_cases.h"

/// Jagged batches and lengths of keys: each sequence as if it were alone.
namespace fovea::cpu::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

class ForwardSequences : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, ForwardSequences, ::testing::ValuesIn(all_kernels()),
                         name_of_kernels);

const Lengths kLengths{{7, 0, 129, 1, 127, 5, 0}, {129, 9, 127, 7, 1, 0, 0}};
const Shape kDims{.head_dim = 10, .value_dim = 33, .q_heads = 4, .kv_heads = 2};

const Variant kScores[] = {
    {.name = "plain"},
    {.name = "alibi",
     .score_mod =
         [](int64_t b0) {
           return score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
             return s - 0.01f * (b + b0 + h) * abs(q - kv);
           });
         }},
};

const Variant kMasks[] = {
    {.name = "causal",
     .mask_mod =
         [](int64_t) { return mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; }); }},
    {.name = "window by batch and head",
     .score_mod =
         [](int64_t) {
           return score_mod([](auto s, auto, auto, auto, auto) { return 3.0f * tanh(s / 3.0f); });
         },
     .mask_mod =
         [](int64_t b0) {
           return mask_mod([=](auto b, auto h, auto q, auto kv) {
             return abs(q - kv) < 9 * (b + b0) + 20 * h + 3;
           });
         }},
    {.name = "full to the end",
     .mask_mod =
         [](int64_t) { return mask_mod([](auto, auto, auto q, auto) { return q % 50 != 3; }); }},
};

// Without a mask a row is summed in the same pieces, whoever else is in the batch.
TEST_P(ForwardSequences, SameBitsAsEachSequenceAlone) {
  Jagged jagged(kLengths, kDims);
  for (const Variant& variant : kScores) {
    jagged.use(variant);
    const Result all = run_kernels(GetParam(), jagged.inputs, 2);
    for (int64_t b = 0; b < jagged.size(); ++b) {
      const Inputs alone = jagged.alone(b);
      const Result rows = jagged.rows_of(all, b);
      EXPECT_TRUE(rows == run_kernels(GetParam(), alone)) << variant.name << ", sequence " << b;
      EXPECT_TRUE(is_near(rows, run_reference(alone))) << variant.name << ", sequence " << b;
    }
  }
}

TEST_P(ForwardSequences, MasksOfTheLongestAreCut) {
  Jagged jagged(kLengths, kDims);
  for (const Variant& variant : kMasks) {
    for (const BlockSize blocks : {BlockSize{32, 16}, BlockSize{128, 128}, BlockSize{7, 5}}) {
      jagged.use(variant, blocks);
      const Result all = run_kernels(GetParam(), jagged.inputs, 2);
      for (int64_t b = 0; b < jagged.size(); ++b) {
        EXPECT_TRUE(is_near(jagged.rows_of(all, b), run_reference(jagged.alone(b))))
            << variant.name << ", blocks of " << blocks.q << ", sequence " << b;
      }
    }
  }
}

// A few long heads that all threads share, many short ones in portions.
TEST_P(ForwardSequences, SameBitsForAnyNumberOfThreads) {
  Lengths lengths{{410, 1, 300}, {350, 200, 420}};
  for (int64_t i = 0; i < 40; ++i) {
    lengths.q.push_back(i * 7 % 60);
    lengths.kv.push_back(i * 11 % 90);
  }
  Jagged jagged(lengths, {.head_dim = 32, .q_heads = 2, .kv_heads = 2});
  for (const Variant* variants : {std::begin(kScores), std::begin(kMasks)}) {
    jagged.use(variants[1]);
    const Result one = run_kernels(GetParam(), jagged.inputs, 1);
    for (const int threads : {2, 3, 7}) {
      EXPECT_TRUE(run_kernels(GetParam(), jagged.inputs, threads) == one)
          << variants[1].name << ", " << threads << " threads";
    }
    for (const int64_t b : {1, 3, 20}) {
      EXPECT_TRUE(is_near(jagged.rows_of(one, b), run_reference(jagged.alone(b)))) << b;
    }
  }
}

TEST_P(ForwardSequences, NoSequencesAndNoHeads) {
  Jagged none({}, kDims);
  EXPECT_TRUE(run_kernels(GetParam(), none.inputs, 2).out.empty());
  Jagged empty({{0, 0}, {0, 5}}, kDims);
  EXPECT_TRUE(run_kernels(GetParam(), empty.inputs, 2).out.empty());
}

// The padding holds NaN; a sequence without keys gives 0 and -inf.
TEST_P(ForwardSequences, KeysBeyondTheLengthAreNeverRead) {
  const Shape shape{
      .q_len = 70, .kv_len = 150, .head_dim = 16, .batch = 6, .q_heads = 2, .kv_heads = 1};
  const std::vector<int32_t> lengths{150, 0, 1, 7, 127, 129};
  for (const float poison : {kNan, kInf}) {
    Inputs inputs(shape);
    for (std::size_t i = 0; i < inputs.key_data.size(); ++i) {
      const auto b = i / (150 * 16), key = i / 16 % 150;
      if (key < static_cast<std::size_t>(lengths[b])) continue;
      inputs.key_data[i] = inputs.value_data[i] = poison;
    }
    inputs.options.kv_lens = view(lengths.data(), {6});
    const std::vector<float> scales{0.5f, 1, 2, 1, 3, 0.25f};
    const Capture scale = capture(view(scales.data(), {6}));
    const BlockMask masks[] = {
        {},
        create_block_mask([](auto, auto, auto q, auto kv) { return q + 80 >= kv; },
                          {.q_len = 70, .kv_len = 150, .block_size = {64, 32}}),
        create_block_mask([](auto b, auto h, auto q, auto) { return q + b != h; },
                          {.q_len = 70, .kv_len = 400, .batch = 6, .heads = 2}),
    };
    for (const BlockMask& mask : masks) {
      inputs.options.block_mask = mask;
      inputs.options.score_mod =
          score_mod([&](auto s, auto b, auto, auto, auto) { return s * scale[b]; });
      const Result got = run_kernels(GetParam(), inputs, 2);
      for (const float x : got.out) ASSERT_TRUE(std::isfinite(x));
      for (std::size_t row = 2 * 70; row < 4 * 70; ++row) {
        ASSERT_EQ(got.lse[row], -kInf);
        for (std::size_t e = 0; e < 16; ++e) ASSERT_EQ(got.out[row * 16 + e], 0.0f);
      }
      EXPECT_TRUE(is_near(got, run_reference(inputs)));
    }
  }
}

}  // namespace
}  // namespace fovea::cpu::testing
