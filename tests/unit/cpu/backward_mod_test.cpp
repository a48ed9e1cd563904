// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>
#include "unit/cpu/backward_harness.h"

/// Gradients through score_mod, weight_mod and sinks; of narrow inputs; of jagged batches.
namespace fovea::cpu::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

const Shape kShape{
    .q_len = 75, .kv_len = 300, .head_dim = 16, .batch = 2, .q_heads = 4, .kv_heads = 2};

BlockMask causal(const Shape& s) {
  return create_block_mask([](auto, auto, auto q, auto kv) { return kv <= q * 4; },
                           {.q_len = s.q_len, .kv_len = s.kv_len, .block_size = {32, 16}});
}

TEST(BackwardMods, ScoreMods) {
  const Program mods[] = {
      score_mod(
          [](auto s, auto, auto h, auto q, auto kv) { return s - (h + 1) * 0.05f * (q - kv); }),
      score_mod([](auto s, auto, auto, auto, auto) { return 2.0f * tanh(s / 2.0f); }),
      score_mod([](auto s, auto, auto, auto q, auto kv) {
        return where(kv > q * 3, -kInf, s * sigmoid(s));
      }),
      score_mod(
          [](auto s, auto, auto, auto, auto kv) { return where(kv % 3 == 0, s * s / 8, 1.5f); }),
  };
  for (const Program& mod : mods) {
    BackwardCase c(kShape);
    c.inputs.options.score_mod = mod;
    EXPECT_TRUE(c.is_right(2, 2e-5));
    c.inputs.options.block_mask = causal(kShape);
    EXPECT_TRUE(c.is_right(2, 2e-5));
  }
}

TEST(BackwardMods, IntegersBeyond32Bits) {
  BackwardCase c({.q_len = 20, .kv_len = 30, .head_dim = 8});
  c.inputs.options.score_mod = score_mod([](auto s, auto, auto, auto q, auto kv) {
    return s * (1 + to_float((q + 100000) * (kv + 100000) % 7)) / 4;
  });
  EXPECT_TRUE(c.is_right());
}

class BackwardWeights : public ::testing::Test {
 protected:
  BackwardWeights() : gate_data(4 * 300), slope_data(4) {
    uint64_t i = 0;
    for (auto* data : {&gate_data, &slope_data}) {
      for (float& x : *data) x = Random(9).normal(i++);
    }
  }
  std::vector<float> gate_data, slope_data;
  Capture gate = capture(view(gate_data.data(), {4, 300}));
  Capture slope = capture(view(slope_data.data(), {4}));
};

TEST_F(BackwardWeights, LinearOnes) {
  BackwardCase c(kShape);
  c.inputs.options.weight_mod = weight_mod([=, this](auto w, auto, auto h, auto, auto kv) {
    return where(kv % 4 == 1, 0.0f, w * gate[h][kv]);
  });
  ASSERT_NO_FATAL_FAILURE(c.prepare());
  EXPECT_TRUE(c.is_right(2));
  c.inputs.options.block_mask = causal(kShape);
  EXPECT_TRUE(c.is_right(2));
  c.inputs.options.score_mod = score_mod(
      [=, this](auto s, auto, auto h, auto q, auto kv) { return s * slope[h] + 0.01f * (q - kv); });
  EXPECT_TRUE(c.is_right(2));
}

// What the softmax hands back is not in dout * out: the keys are walked twice.
TEST_F(BackwardWeights, OthersNeedTwoPasses) {
  BackwardCase c(kShape);
  c.inputs.options.weight_mod = weight_mod([=, this](auto w, auto, auto h, auto, auto kv) {
    return w * w + w * gate[h][kv] + 0.01f * sin(w);
  });
  EXPECT_TRUE(c.is_right(2));
  c.inputs.options.block_mask = causal(kShape);
  c.inputs.options.score_mod = score_mod(
      [=, this](auto s, auto, auto h, auto, auto) { return 2 * tanh(s / 2) + slope[h] * s / 4; });
  EXPECT_TRUE(c.is_right(2));
  c.shared_keys = true;
  EXPECT_TRUE(c.is_right(2));
  for (const bool query : {false, true}) {
    c.wanted = {.query = query, .key = false, .value = !query, .captures = false};
    EXPECT_TRUE(c.is_right(2)) << query;
  }
}

TEST_F(BackwardWeights, SameBitsForAnyNumberOfThreads) {
  BackwardCase c(kShape);
  c.inputs.options.weight_mod =
      weight_mod([=, this](auto w, auto, auto h, auto, auto) { return w * w * slope[h]; });
  c.prepare();
  for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
    const Gradients expected = c.run(kernels, 1);
    for (const int threads : {2, 3, 7}) EXPECT_TRUE(c.run(kernels, threads) == expected) << threads;
  }
}

TEST_F(BackwardWeights, AWeightOfZeroHandsNothingOn) {
  BackwardCase c({.q_len = 40, .kv_len = 90, .head_dim = 8});
  for (std::size_t e = 0; e < 8; ++e) {
    c.inputs.value_data[33 * 8 + e] = c.inputs.key_data[35 * 8 + e] = kNan;
  }
  c.inputs.options.block_mask = create_block_mask(
      [](auto, auto, auto, auto kv) { return kv != 33 && kv != 35; }, {.q_len = 40, .kv_len = 90});
  c.inputs.options.weight_mod = weight_mod([](auto w, auto, auto, auto, auto) { return 2 * w; });
  EXPECT_TRUE(c.is_right());
}

TEST_F(BackwardWeights, Sinks) {
  BackwardCase c(kShape);
  slope_data[1] = -kInf;
  c.inputs.options.sinks = view(slope_data.data(), {4});
  EXPECT_TRUE(c.is_right(2));
  c.inputs.options.block_mask =
      create_block_mask([](auto, auto, auto q, auto kv) { return kv < q && q != 33; },
                        {.q_len = 75, .kv_len = 300, .block_size = {16, 16}});
  EXPECT_TRUE(c.is_right(2));
  c.inputs.options.weight_mod =
      weight_mod([](auto w, auto, auto, auto, auto) { return w * (2 - w); });
  EXPECT_TRUE(c.is_right(2));
  c.wanted = {.query = false, .key = false, .value = false, .captures = false};
  EXPECT_TRUE(c.is_right(2));
}

TEST(BackwardTypes, NarrowInputs) {
  for (const DType narrow : {DType::bf16, DType::f16}) {
    const double unit = narrow == DType::bf16 ? 1.0 / 256 : 1.0 / 2048;
    for (const Shape& shape : {Shape{.q_len = 75, .kv_len = 90, .head_dim = 32, .q_heads = 2},
                               Shape{.q_len = 75, .kv_len = 600, .head_dim = 17, .value_dim = 9}}) {
      BackwardCase c(shape);
      c.inputs.types = {narrow, narrow, narrow, narrow};
      EXPECT_TRUE(c.is_right(2, 4 * unit)) << name_of(narrow);
      c.inputs.types = {narrow, DType::f32, narrow, DType::f32};
      EXPECT_TRUE(c.is_right(2, unit)) << name_of(narrow);
      c.inputs.types = {DType::f32, narrow, narrow, DType::f32};
      EXPECT_TRUE(c.is_right(2, unit)) << name_of(narrow);
    }
  }
}

// Chunks add up in f32: the result is the rounded one of wide inputs.
TEST(BackwardTypes, GradientsAreRoundedOnce) {
  BackwardCase narrow({.q_len = 75, .kv_len = 2600, .head_dim = 32});
  BackwardCase wide({.q_len = 75, .kv_len = 2600, .head_dim = 32});
  narrow.inputs.types = {DType::bf16, DType::bf16, DType::bf16, DType::f32};
  narrow.prepare();
  wide.inputs.query_data = narrow.inputs.query_data;
  wide.inputs.key_data = narrow.inputs.key_data;
  wide.inputs.value_data = narrow.inputs.value_data;
  wide.dout_data = narrow.dout_data;
  wide.inputs.query = view(wide.inputs.query_data.data(), wide.inputs.query.sizes);
  wide.inputs.key = view(wide.inputs.key_data.data(), wide.inputs.key.sizes);
  wide.inputs.value = view(wide.inputs.value_data.data(), wide.inputs.value.sizes);
  wide.dout = view(wide.dout_data.data(), wide.dout.sizes);
  wide.prepare();
  const auto rounded = [](const std::vector<float>& values) {
    std::vector<float> all;
    for (const float x : values) all.push_back(static_cast<float>(BFloat16(x)));
    return all;
  };
  for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
    const Gradients got = narrow.run(kernels, 2), expected = wide.run(kernels, 2);
    EXPECT_TRUE(same_bits(got.query, rounded(expected.query))) << kernels.name;
    EXPECT_TRUE(same_bits(got.key, rounded(expected.key))) << kernels.name;
    EXPECT_TRUE(same_bits(got.value, rounded(expected.value))) << kernels.name;
  }
}

TEST(BackwardSequences, JaggedBatches) {
  const std::vector<int32_t> q_ends{0, 40, 40, 41, 170, 170};
  const std::vector<int64_t> kv_ends{0, 33, 60, 61, 400, 400};
  BackwardCase c({.q_len = 170, .kv_len = 400, .head_dim = 16, .q_heads = 4, .kv_heads = 2});
  c.inputs.options.cu_seqlens_q = view(q_ends.data(), {6});
  c.inputs.options.cu_seqlens_kv = view(kv_ends.data(), {6});
  EXPECT_TRUE(c.is_right(2));
  std::vector<float> bias_data(4 * 5 * 130), shared_data(129 * 339);
  for (auto* data : {&bias_data, &shared_data}) {
    for (std::size_t i = 0; i < data->size(); ++i) (*data)[i] = 0.1f * Random(3).normal(i);
  }
  const Capture bias = capture(view(bias_data.data(), {4, 5, 130}));
  const Capture shared = capture(view(shared_data.data(), {129, 339}));
  c.inputs.options.score_mod = score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
    return s + bias[h][b][q] * (1 + b) + shared[q][kv];
  });
  c.inputs.options.block_mask =
      create_block_mask([](auto b, auto, auto q, auto kv) { return kv <= q * 3 + b; },
                        {.q_len = 129, .kv_len = 339, .batch = 5, .block_size = {32, 64}});
  EXPECT_TRUE(c.is_right(2));
}

TEST(BackwardSequences, CausalFromTheEnd) {
  BackwardCase c({.q_len = 60, .kv_len = 200, .head_dim = 16, .batch = 2});
  c.inputs.options.causal = Causal::lower_right;
  EXPECT_TRUE(c.is_right(2));
  const std::vector<int32_t> lengths{150, 80};
  c.inputs.options.kv_lens = view(lengths.data(), {2});
  EXPECT_TRUE(c.is_right(2));
}

}  // namespace
}  // namespace fovea::cpu::testing
