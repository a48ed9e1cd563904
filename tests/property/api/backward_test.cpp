// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>
#include "training_call.h"
#include "training_settings.h"
#include "usable_isas.h"

// The backward pass in fp32 through the public functions, against the dense float64 reference.
namespace fovea {
namespace {

using Call = test::TrainingCall<float>;
using test::Gradients;
using test::TrainingSizes;

// Of the largest entry of a gradient.
constexpr double kTolerance = 1e-5;

const test::Engine kOwn{flex_attention, flex_attention_backward};
const test::Engine kDense{reference_attention, reference_backward};

std::string to_string(const TrainingSizes& s) {
  return std::to_string(s.q_heads) + "/" + std::to_string(s.kv_heads) + " heads, " +
         std::to_string(s.q_len) + " x " + std::to_string(s.kv_len) + ", dims " +
         std::to_string(s.head_dim) + " and " + std::to_string(s.value_dim);
}

const std::vector<TrainingSizes>& all_sizes() {
  static const std::vector<TrainingSizes> kSizes{
      {.q_len = 0, .kv_len = 5},
      {.q_len = 5, .kv_len = 0},
      {.q_len = 1, .kv_len = 1, .head_dim = 1, .value_dim = 1},
      {.batch = 2,
       .q_heads = 2,
       .kv_heads = 1,
       .q_len = 7,
       .kv_len = 129,
       .head_dim = 9,
       .value_dim = 5},
      {.q_heads = 3, .kv_heads = 3, .q_len = 127, .kv_len = 7, .head_dim = 16, .value_dim = 16},
      {.batch = 2,
       .q_heads = 4,
       .kv_heads = 2,
       .q_len = 65,
       .kv_len = 33,
       .head_dim = 7,
       .value_dim = 17,
       .kv_batch = 1},
      {.q_len = 1023, .kv_len = 37, .head_dim = 24, .value_dim = 8},
      {.q_heads = 2, .kv_heads = 1, .q_len = 17, .kv_len = 1023, .head_dim = 8, .value_dim = 24},
  };
  return kSizes;
}

class FlexAttentionBackwardOfSizes : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Number, FlexAttentionBackwardOfSizes,
                         ::testing::Range<std::size_t>(0, all_sizes().size()));

TEST_P(FlexAttentionBackwardOfSizes, EqualsTheReference) {
  const auto isas = test::usable_isas();
  ASSERT_FALSE(isas.empty());
  const TrainingSizes& sizes = all_sizes()[GetParam()];
  for (const auto& setting : test::training_settings<float>()) {
    Call call(sizes);
    setting.apply(call);
    const auto expected = call.run_backward(kDense);
    for (const std::string& isa : isas) {
      SCOPED_TRACE(std::string(setting.name) + ", " + isa + ", " + to_string(sizes));
      const Environment environment("FOVEA_ISA", isa);
      call.run_forward(kOwn);
      EXPECT_TRUE(test::are_near(call.run_backward(kOwn), expected, kTolerance));
    }
  }
}

TEST(FlexAttentionBackward, TheSameBitsForAnyNumberOfThreads) {
  for (const auto& setting : test::training_settings<float>()) {
    SCOPED_TRACE(setting.name);
    Call call({.batch = 2,
               .q_heads = 2,
               .kv_heads = 1,
               .q_len = 300,
               .kv_len = 290,
               .head_dim = 9,
               .value_dim = 5});
    setting.apply(call);
    std::optional<Gradients<float>> first;
    for (const int threads : {1, 2, 3, 7}) {
      const auto executor = make_thread_pool(threads);
      call.options.executor = executor.get();
      call.run_forward(kOwn);
      const auto gradients = call.run_backward(kOwn);
      if (!first) first = gradients;
      EXPECT_TRUE(gradients == *first) << threads << " threads";
    }
  }
}

TEST(FlexAttentionBackward, WithoutAGradientOfLse) {
  Call call({.q_len = 40, .kv_len = 50});
  call.saved.dlse.reset();
  call.run_forward(kOwn);
  EXPECT_TRUE(test::are_near(call.run_backward(kOwn), call.run_backward(kDense), kTolerance));
}

TEST(FlexAttentionBackward, JaggedSequences) {
  Call call({.q_heads = 4, .kv_heads = 2, .q_len = 150, .kv_len = 171, .head_dim = 5});
  const std::vector<int32_t> q_begins{0, 100, 100, 101, 150}, kv_begins{0, 80, 90, 90, 171};
  call.options.cu_seqlens_q = view(q_begins.data(), {5});
  call.options.cu_seqlens_kv = view(kv_begins.data(), {5});
  const auto slopes = capture(call.normal({4, 4}));
  call.options.score_mod = score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
    return s + slopes[b][h] * to_float(q - kv) / 8;
  });
  call.options.block_mask =
      create_block_mask([](auto b, auto, auto q, auto kv) { return q + 3 * b >= kv; },
                        {.q_len = 100, .kv_len = 81, .batch = 4, .block_size = {.q = 16, .kv = 8}});
  call.run_forward(kOwn);
  EXPECT_TRUE(test::are_near(call.run_backward(kOwn), call.run_backward(kDense), kTolerance));
}

TEST(FlexAttentionBackward, NaNBehindAMaskNeverLeaks) {
  Call call({.q_len = 40, .kv_len = 50, .head_dim = 8, .value_dim = 8});
  call.options.block_mask = create_block_mask(
      [](auto, auto, auto, auto kv) { return kv != 17 && kv < 44; }, {.q_len = 40, .kv_len = 50});
  for (const int64_t kv : {17, 44, 49}) {
    for (int64_t d = 0; d < 8; ++d) {
      Call::at(call.key, kv * 8 + d) = std::nanf("");
      Call::at(call.value, kv * 8 + d) = std::nanf("");
    }
  }
  call.run_forward(kOwn);
  const auto got = call.run_backward(kOwn);
  for (const float x : got.all()) ASSERT_TRUE(std::isfinite(x));
  EXPECT_TRUE(test::are_near(got, call.run_backward(kDense), kTolerance));
}

TEST(FlexAttentionBackward, WhatIsNotWantedIsNotNeededForTheRest) {
  Call call({.q_heads = 2, .kv_heads = 1, .q_len = 40, .kv_len = 50});
  const auto slopes = capture(call.normal({2}));
  call.options.score_mod = score_mod(
      [=](auto s, auto, auto h, auto q, auto kv) { return s + slopes[h] * (q - kv) / 16; });
  call.run_forward(kOwn);
  const auto all = call.run_backward(kOwn);
  const auto one = [&](const TensorView& like, auto&& choose) {
    std::vector<float> memory(static_cast<std::size_t>(like.numel()), std::nanf(""));
    FlexGradients wanted;
    choose(wanted) = view(memory.data(), like.sizes);
    flex_attention_backward(call.query, call.key, call.value, call.saved, wanted, call.options);
    return memory;
  };
  EXPECT_EQ(one(call.query, [](FlexGradients& g) -> TensorView& { return g.query; }), all.query);
  EXPECT_EQ(one(call.key, [](FlexGradients& g) -> TensorView& { return g.key; }), all.key);
  EXPECT_EQ(one(call.value, [](FlexGradients& g) -> TensorView& { return g.value; }), all.value);
  EXPECT_EQ(one(call.options.score_mod.captures()[0],
                [](FlexGradients& g) -> TensorView& { return g.score_captures.emplace_back(); }),
            all.score[0]);
}

TEST(FlexAttentionBackward, TakesTheCallersWorkspace) {
  Call call({.q_len = 40, .kv_len = 50});
  call.run_forward(kOwn);
  const auto expected = call.run_backward(kOwn);
  std::vector<float> memory(static_cast<std::size_t>(call.query.numel()));
  const FlexGradients wanted{.query = view(memory.data(), call.query.sizes)};
  const std::size_t bytes =
      backward_workspace_bytes(call.query, call.key, call.value, call.saved, wanted, call.options);
  std::vector<std::byte> workspace(bytes + 64);
  void* data = workspace.data();
  std::size_t space = workspace.size();
  ASSERT_NE(std::align(64, bytes, data, space), nullptr);
  call.options.workspace = {data, bytes};
  flex_attention_backward(call.query, call.key, call.value, call.saved, wanted, call.options);
  EXPECT_EQ(memory, expected.query);
}

}  // namespace
}  // namespace fovea
