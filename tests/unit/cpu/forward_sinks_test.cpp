// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "unit/cpu/attention_harness.h"

/// Sinks, and the largest score of each row.
namespace fovea::cpu::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

class ForwardSinks : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, ForwardSinks, ::testing::ValuesIn(all_kernels()), name_of_kernels);

BlockMask block_mask(const Program& mod, const Shape& s) {
  return create_block_mask(mod, {.q_len = s.q_len,
                                 .kv_len = s.kv_len,
                                 .batch = s.batch,
                                 .heads = s.q_heads,
                                 .block_size = {32, 16}});
}

TEST_P(ForwardSinks, RaggedLengthsHeadsAndMods) {
  const Shape shapes[] = {
      {.q_len = 1, .kv_len = 1, .head_dim = 3, .q_heads = 4},
      {.q_len = 7, .kv_len = 129, .head_dim = 16, .value_dim = 5, .q_heads = 4, .kv_heads = 1},
      {.q_len = 127, .kv_len = 300, .head_dim = 24, .batch = 2, .q_heads = 4, .kv_heads = 2},
      {.q_len = 5, .kv_len = 0, .head_dim = 8, .q_heads = 4}};
  const std::array<float, 4> sinks{0, 2.5f, -4, 60};
  const Program mod =
      score_mod([](auto s, auto, auto, auto q, auto kv) { return s * 2.0f - 0.01f * (q - kv); });
  const Program mask = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv && q % 5 != 0; });
  for (const Shape& shape : shapes) {
    for (const bool with_sinks : {false, true}) {
      Inputs inputs(shape);
      inputs.max_scores = true;
      if (with_sinks) inputs.options.sinks = view(sinks.data(), {4});
      EXPECT_TRUE(is_right(GetParam(), inputs, 2));
      inputs.options.score_mod = mod;
      EXPECT_TRUE(is_right(GetParam(), inputs, 2));
      inputs.options.block_mask = block_mask(mask, shape);
      EXPECT_TRUE(is_right(GetParam(), inputs, 2));
      inputs.options.score_mod = {};
      EXPECT_TRUE(is_right(GetParam(), inputs, 2));
    }
  }
}

// Far above the scores, far below, and with steps that find a larger score later.
TEST_P(ForwardSinks, OfAnySize) {
  for (const float sink : {-1e30f, -200.0f, -87.0f, 0.0f, 30.0f, 87.0f, 200.0f, 1e5f}) {
    Inputs inputs({.q_len = 30, .kv_len = 700, .head_dim = 8});
    inputs.options.sinks = view(&sink, {1});
    inputs.options.score_mod =
        score_mod([](auto s, auto, auto, auto, auto kv) { return s + 0.05f * kv; });
    EXPECT_TRUE(is_right(GetParam(), inputs)) << sink;
  }
}

TEST_P(ForwardSinks, ARowWithTheSinkAlone) {
  const Shape shape{.q_len = 70, .kv_len = 64, .head_dim = 8};
  Inputs inputs(shape);
  const float sink = -1.75f;
  inputs.options.sinks = view(&sink, {1});
  inputs.max_scores = true;
  inputs.options.block_mask = block_mask(
      mask_mod([](auto, auto, auto q, auto kv) { return q >= 40 && kv < q - 42; }), shape);
  const Result got = run_kernels(GetParam(), inputs);
  for (const std::size_t row : {0u, 31u, 40u, 42u}) {
    EXPECT_NEAR(got.lse[row], sink, 1e-6f) << row;
    EXPECT_EQ(got.max_scores[row], -kInf);
    for (std::size_t e = 0; e < 8; ++e) EXPECT_EQ(got.out[row * 8 + e], 0.0f) << row;
  }
  EXPECT_TRUE(is_near(got, run_reference(inputs)));
}

TEST_P(ForwardSinks, MinusInfinityIsNone) {
  Inputs inputs({.q_len = 30, .kv_len = 50, .head_dim = 8});
  const Result plain = run_kernels(GetParam(), inputs);
  inputs.options.sinks = view(&kInf, {1});
  const float none = -kInf;
  inputs.options.sinks = view(&none, {1});
  EXPECT_TRUE(run_kernels(GetParam(), inputs) == plain);
}

TEST_P(ForwardSinks, NotFiniteOnesGiveNaN) {
  Inputs inputs({.q_len = 30, .kv_len = 50, .head_dim = 8});
  for (const float sink : {kInf, std::numeric_limits<float>::quiet_NaN()}) {
    inputs.options.sinks = view(&sink, {1});
    const Result got = run_kernels(GetParam(), inputs);
    for (const float x : got.out) ASSERT_TRUE(std::isnan(x)) << sink;
  }
}

TEST_P(ForwardSinks, OtherDtypesAndStrides) {
  Inputs inputs({.q_len = 10, .kv_len = 50, .head_dim = 8, .q_heads = 2, .kv_heads = 2});
  const std::array<double, 3> wide{0.5, 99, -0.25};
  const std::array<Float16, 2> narrow{Float16(0.5f), Float16(-0.25f)};
  const std::array<BFloat16, 2> brain{BFloat16(0.5f), BFloat16(-0.25f)};
  inputs.options.sinks = view(wide.data(), {2}, {2});
  const Result expected = run_kernels(GetParam(), inputs);
  EXPECT_TRUE(is_near(expected, run_reference(inputs)));
  inputs.options.sinks = view(narrow.data(), {2});
  EXPECT_TRUE(run_kernels(GetParam(), inputs) == expected);
  inputs.options.sinks = view(brain.data(), {2});
  EXPECT_TRUE(run_kernels(GetParam(), inputs) == expected);
}

TEST_P(ForwardSinks, SameBitsForAnyNumberOfThreads) {
  const Shape shape{.q_len = 333, .kv_len = 333, .head_dim = 32, .q_heads = 4, .kv_heads = 2};
  const std::array<float, 4> sinks{0, 2.5f, -4, 60};
  Inputs inputs(shape);
  inputs.max_scores = true;
  inputs.options.sinks = view(sinks.data(), {4});
  const Result expected = run_kernels(GetParam(), inputs, 1);
  for (const int threads : {2, 3, 7}) {
    EXPECT_TRUE(run_kernels(GetParam(), inputs, threads) == expected) << threads;
  }
}

TEST_P(ForwardSinks, TheLargestScoreOfARowWithNaNIsNaN) {
  Inputs inputs({.q_len = 30, .kv_len = 50, .head_dim = 8});
  inputs.max_scores = true;
  inputs.options.score_mod = score_mod([](auto s, auto, auto, auto q, auto kv) {
    return where(q == 3 && kv == 17, std::numeric_limits<float>::quiet_NaN(), s);
  });
  EXPECT_TRUE(is_right(GetParam(), inputs));
}

}  // namespace
}  // namespace fovea::cpu::testing
