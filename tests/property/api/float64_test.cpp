// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>
#include "training_call.h"
#include "training_settings.h"

// float64 through the public functions: gradients by finite differences, and both directions against the
// dense reference.
namespace fovea {
namespace {

using Case = test::TrainingCall<double>;
using test::Gradients;
using test::small_blocks;
using test::TrainingSizes;

test::Engine own() { return {flex_attention, flex_attention_backward}; }
test::Engine dense() { return {reference_attention, reference_backward}; }

void check_gradients(const Case& call) { call.check_by_differences(own()); }

TEST(Float64Gradcheck, PlainAttention) {
  check_gradients(Case({.q_len = 11, .kv_len = 9, .head_dim = 3}));
}

TEST(Float64Gradcheck, HeadsInGroupsWithoutAGradientOfLse) {
  Case c({.batch = 2, .q_heads = 6, .kv_heads = 2, .value_dim = 1});
  c.saved.dlse.reset();
  check_gradients(c);
}

TEST(Float64Gradcheck, OneKeyForAllBatches) {
  check_gradients(Case({.batch = 3, .q_heads = 4, .kv_heads = 2, .kv_batch = 1}));
}

TEST(Float64Gradcheck, MasksOfEveryKindOfBlock) {
  Case c({.q_heads = 2, .kv_heads = 1, .q_len = 10, .kv_len = 13});
  c.options.block_mask =
      small_blocks(c, [](auto, auto h, auto q, auto kv) { return q + h > kv && kv + 8 >= q; });
  ASSERT_GT(c.options.block_mask.counts().full, 0);
  ASSERT_GT(c.options.block_mask.counts().skipped, 0);
  check_gradients(c);
}

TEST(Float64Gradcheck, Softcap) {
  Case c({.q_len = 9});
  c.options.scale = 3;
  c.options.score_mod = score_mod([](auto s, auto, auto, auto, auto) { return 2 * tanh(s / 2); });
  check_gradients(c);
}

TEST(Float64Gradcheck, CapturesOfEveryClass) {
  Case c({.batch = 2, .q_heads = 2, .kv_heads = 1, .q_len = 9, .kv_len = 5});
  const std::vector<int32_t> document{0, 0, 1, 1, 1, 2, 2, 2, 2};
  const auto doc = capture(view(document.data(), {9}));
  const auto scalar = capture(c.normal({2}));
  const auto row = capture(c.normal({2, 9}));
  const auto column = capture(c.normal({5}));
  const auto diagonal = capture(c.normal({2, 13}));
  const auto tile = capture(c.normal({9, 5}));
  const auto gathered = capture(c.normal({3, 3}));
  c.options.score_mod = score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
    return s * scalar[h] + tanh(row[b][q] * column[kv]) + diagonal[h][q - kv + 4] +
           where(q >= kv, tile[q][kv], s * gathered[doc[q]][doc[kv]]) + scalar[0];
  });
  check_gradients(c);
}

// The rule of relative positions in buckets: one read with indices that the program computes.
TEST(Float64Gradcheck, BucketsOfRelativePositions) {
  Case c({.q_heads = 2, .kv_heads = 2, .q_len = 12, .kv_len = 12, .head_dim = 1, .value_dim = 1});
  const auto bias = capture(c.normal({6, 2}));
  c.options.score_mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
    const auto n = max(q - kv, 0);
    return s + bias[where(n < 3, n, min(3 + to_int(log2(to_float(max(n, 1)) / 3)), 5))][h];
  });
  check_gradients(c);
}

TEST(Float64Gradcheck, WeightsAndTheirCaptures) {
  Case c({.q_heads = 2, .kv_heads = 1, .q_len = 9});
  const auto gate = capture(c.normal({2, 4}));
  c.options.weight_mod = weight_mod(
      [=](auto w, auto, auto h, auto, auto kv) { return w * w * gate[h][kv] + gate[h][0] * w; });
  c.options.block_mask = small_blocks(c, [](auto, auto, auto q, auto kv) { return q >= kv; });
  check_gradients(c);
}

TEST(Float64Gradcheck, Dropout) {
  Case c({.batch = 2, .q_heads = 2, .kv_heads = 2, .q_len = 9, .kv_len = 6});
  const int64_t seed = 5, offset = 3;
  c.options.weight_mod = dropout(0.25, view(&seed, {1}), view(&offset, {1}));
  check_gradients(c);
}

TEST(Float64Gradcheck, JaggedSequences) {
  Case c({.q_heads = 4, .kv_heads = 2, .q_len = 13, .kv_len = 9, .head_dim = 2, .value_dim = 1});
  const std::vector<int32_t> q_begins{0, 9, 9, 13}, kv_begins{0, 5, 6, 9};
  c.options.cu_seqlens_q = view(q_begins.data(), {4});
  c.options.cu_seqlens_kv = view(kv_begins.data(), {4});
  const auto bias = capture(c.normal({3, 9, 5}));
  c.options.score_mod =
      score_mod([=](auto s, auto b, auto, auto q, auto kv) { return s + bias[b][q][kv]; });
  check_gradients(c);
  c.options.causal = Causal::upper_left;
  check_gradients(c);
}

TEST(Float64Gradcheck, LengthsOfKeys) {
  Case c({.batch = 3, .q_len = 9, .kv_len = 5});
  const std::vector<int64_t> lengths{5, 0, 2};
  c.options.kv_lens = view(lengths.data(), {3});
  check_gradients(c);
}

TEST(Float64Gradcheck, CausalOptions) {
  for (const Causal causal : {Causal::upper_left, Causal::lower_right}) {
    Case c({.q_len = 11, .kv_len = 9});
    c.options.causal = causal;
    check_gradients(c);
  }
}

TEST(Float64Gradcheck, Sinks) {
  Case c({.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 9});
  c.options.sinks = c.normal({4});
  c.options.block_mask = small_blocks(c, [](auto, auto, auto q, auto kv) { return q > kv; });
  check_gradients(c);
}

// Of a tensor that is captured twice each slot has its own part.
TEST(Float64Gradcheck, ATensorReadTwiceIsOneSlot) {
  Case c;
  const auto table = capture(c.normal({9}));
  c.options.score_mod = score_mod([=](auto s, auto, auto, auto q, auto kv) {
    return s + table[q] * table[kv] + table[q + kv];
  });
  ASSERT_EQ(c.options.score_mod.captures().size(), 1U);
  check_gradients(c);
}

void expect_as_the_reference(const Case& call, const std::string& name) {
  SCOPED_TRACE(name);
  const auto forward = [&](const test::Engine& engine) {
    call.run_forward(engine);
    Gradients<double> result;  // out and lse
    const TensorView& out = call.saved.out;
    for (int64_t i = 0; i < out.numel(); ++i) result.query.push_back(Case::at(out, i));
    for (int64_t i = 0; i < call.saved.lse.numel(); ++i) {
      result.key.push_back(Case::at(call.saved.lse, i));
    }
    return result;
  };
  const auto expected = forward(dense());
  EXPECT_TRUE(test::are_near(forward(own()), expected, 1e-13));
  EXPECT_TRUE(test::are_near(call.run_backward(own()), call.run_backward(dense()), 1e-12));
}

TEST(Float64Attention, EqualsTheReferenceAtRaggedSizes) {
  for (const auto& [q_len, kv_len] : {std::pair(0, 7), std::pair(7, 0), std::pair(1, 1),
                                      std::pair(7, 129), std::pair(127, 7), std::pair(33, 257)}) {
    for (const auto& setting : test::training_settings<double>()) {
      Case call({.batch = 2,
                 .q_heads = 2,
                 .kv_heads = 1,
                 .q_len = q_len,
                 .kv_len = kv_len,
                 .head_dim = 5,
                 .value_dim = 3});
      setting.apply(call);
      expect_as_the_reference(call, std::string(setting.name) + " " + std::to_string(q_len) +
                                        " x " + std::to_string(kv_len));
    }
  }
}

TEST(Float64Attention, ListsThatDecide) {
  Case call({.q_heads = 2, .kv_heads = 2, .q_len = 10, .kv_len = 12});
  const std::vector<int32_t> counts{1, 2, 0}, indices{2, 0, 0, 2, 1, 0, 0, 0, 0};
  const std::vector<int32_t> full_counts{1, 0, 0}, full_indices{0, 0, 0, 0, 0, 0, 0, 0, 0};
  call.options.block_mask = BlockMask::from_kv_blocks(
      {.kv_num_blocks = view(counts.data(), {1, 1, 3}),
       .kv_indices = view(indices.data(), {1, 1, 3, 3}),
       .full_kv_num_blocks = view(full_counts.data(), {1, 1, 3}),
       .full_kv_indices = view(full_indices.data(), {1, 1, 3, 3})},
      {.block_size = {.q = 4, .kv = 4},
       .mask_mod = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv - 3; }),
       .q_len = 10,
       .kv_len = 12});
  expect_as_the_reference(call, "lists");
}

TEST(Float64Attention, NaNBehindAMaskNeverLeaks) {
  Case call({.q_len = 9, .kv_len = 9});
  call.options.block_mask =
      small_blocks(call, [](auto, auto, auto, auto kv) { return kv != 1 && kv < 8; });
  for (const int64_t kv : {1, 8}) {
    for (int64_t d = 0; d < 2; ++d) Case::at(call.key, kv * 2 + d) = std::nan("");
    for (int64_t d = 0; d < 3; ++d) Case::at(call.value, kv * 3 + d) = std::nan("");
  }
  expect_as_the_reference(call, "NaN");
  for (const double x : call.run_backward(own()).all()) EXPECT_TRUE(std::isfinite(x));
}

// A jagged batch, its block mask, a sink and everything else that a call can have.
TEST(Float64Attention, AllTogether) {
  Case call({.q_heads = 4, .kv_heads = 2, .q_len = 150, .kv_len = 171, .head_dim = 5});
  const std::vector<int32_t> q_begins{0, 100, 100, 101, 150}, kv_begins{0, 80, 90, 90, 171};
  call.options.cu_seqlens_q = view(q_begins.data(), {5});
  call.options.cu_seqlens_kv = view(kv_begins.data(), {5});
  call.options.sinks = call.normal({4});
  call.options.max_scores = call.normal({1, 4, 150});
  const auto slopes = capture(call.normal({4, 4}));
  call.options.score_mod = score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
    return s + slopes[b][h] * to_float(q - kv) / 8;
  });
  call.options.weight_mod = weight_mod([](auto w, auto, auto, auto, auto) { return w * (2 - w); });
  call.options.block_mask =
      create_block_mask([](auto b, auto, auto q, auto kv) { return q + 3 * b >= kv; },
                        {.q_len = 100, .kv_len = 81, .batch = 4, .block_size = {.q = 16, .kv = 8}});
  expect_as_the_reference(call, "all");
  const TensorView& largest = *call.options.max_scores;
  call.run_forward(own());
  const std::vector<double> got(&Case::at(largest, 0), &Case::at(largest, 0) + largest.numel());
  call.run_forward(dense());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double expected = Case::at(largest, static_cast<int64_t>(i));
    EXPECT_TRUE(got[i] == expected || std::abs(got[i] - expected) < 1e-12) << i;
  }
}

TEST(Float64Attention, Pages) {
  Case call({.batch = 2, .q_heads = 2, .q_len = 9, .kv_len = 21});
  const auto expected = [&] {
    call.run_forward(dense());
    const TensorView& out = call.saved.out;
    return std::vector<double>(&Case::at(out, 0), &Case::at(out, 0) + out.numel());
  }();
  // Pages of 7 keys: (b, i) lies in page 5 - 3 b - i.
  const std::vector<int32_t> table{5, 4, 3, 2, 1, 0};
  const auto paged = [&](const TensorView& from) {
    const int64_t size = 7 * from.size(3);
    const TensorView to = call.normal({6, 1, 7, from.size(3)});
    for (int64_t page = 0; page < 6; ++page) {
      for (int64_t i = 0; i < size; ++i) {
        Case::at(to, (5 - page) * size + i) = Case::at(from, page * size + i);
      }
    }
    return to;
  };
  call.key = paged(call.key);
  call.value = paged(call.value);
  call.options.page_table = view(table.data(), {2, 3});
  call.run_forward(own());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(Case::at(call.saved.out, static_cast<int64_t>(i)), expected[i], 1e-13);
  }
}

// Behind the mask an index may be outside its tensor.
TEST(Float64Attention, FaultsBehindAMaskAreNone) {
  Case call({.q_len = 9, .kv_len = 9});
  const auto table = capture(call.normal({9}));
  call.options.score_mod =
      score_mod([=](auto s, auto, auto, auto q, auto kv) { return s + table[q - kv]; });
  call.options.block_mask = small_blocks(call, [](auto, auto, auto q, auto kv) { return q >= kv; });
  expect_as_the_reference(call, "index outside");
}

TEST(Float64Attention, AFaultThatIsSeenIsAnErrorAndDisturbsNobody) {
  Case call({.q_len = 40, .kv_len = 9});
  const auto table = capture(call.normal({9}));
  call.options.score_mod =
      score_mod([=](auto s, auto, auto, auto q, auto) { return s + table[min(q, 9)]; });
  for (const int threads : {1, 3}) {
    const auto executor = make_thread_pool(threads);
    call.options.executor = executor.get();
    EXPECT_THROW(call.run_forward(own()), InvalidArgument);
    EXPECT_THROW(call.run_backward(own()), InvalidArgument);
  }
}

TEST(Float64Attention, StridesOfAnyKind) {
  Case call({.batch = 2, .q_heads = 2, .kv_heads = 1, .q_len = 9, .kv_len = 5});
  // The same numbers with the heads behind the length, and the innermost stride 2.
  const auto spread = [&](TensorView& tensor) {
    TensorView other =
        call.normal({tensor.size(0) * tensor.size(1) * tensor.size(2) * tensor.size(3) * 2});
    other.sizes = tensor.sizes;
    const int64_t width = 2 * tensor.size(3), row = width * tensor.size(1);
    other.strides = {row * tensor.size(2), width, row, 2};
    int64_t next = 0;
    for (int64_t b = 0; b < tensor.size(0); ++b) {
      for (int64_t h = 0; h < tensor.size(1); ++h) {
        for (int64_t i = 0; i < tensor.size(2); ++i) {
          for (int64_t d = 0; d < tensor.size(3); ++d) {
            Case::at(other, b * other.strides[0] + h * other.strides[1] + i * other.strides[2] +
                                d * other.strides[3]) = Case::at(tensor, next++);
          }
        }
      }
    }
    tensor = other;
  };
  const auto expected = call.run_backward(own());
  for (TensorView* tensor : {&call.query, &call.key, &call.value, &call.saved.dout}) {
    spread(*tensor);
  }
  EXPECT_TRUE(call.run_backward(own()) == expected);
}

TEST(Float64Attention, GradientsOfAnyStride) {
  Case call({.batch = 2, .q_heads = 2, .kv_heads = 1, .q_len = 9, .kv_len = 5});
  const auto table = capture(call.normal({2, 9}));
  call.options.score_mod =
      score_mod([=](auto s, auto, auto h, auto q, auto) { return s * table[h][q]; });
  const auto expected = call.run_backward(own());
  const TensorView key = call.normal({2, 5, 1, 4}), transposed = call.normal({9, 2});
  FlexGradients wanted;
  wanted.key = view(static_cast<double*>(key.data), {2, 1, 5, 2}, {20, 4, 4, 2});
  wanted.score_captures = {view(static_cast<double*>(transposed.data), {2, 9}, {1, 2})};
  flex_attention_backward(call.query, call.key, call.value, call.saved, wanted, call.options);
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(Case::at(key, i / 10 * 20 + i % 10 / 2 * 4 + i % 2 * 2),
              expected.key[static_cast<std::size_t>(i)]);
  }
  for (int64_t i = 0; i < 18; ++i) {
    EXPECT_EQ(Case::at(transposed, i % 9 * 2 + i / 9),
              expected.score[0][static_cast<std::size_t>(i)]);
  }
}

TEST(Float64Attention, CapturesInF32AreSummedInF64) {
  Case call({.q_heads = 2, .kv_heads = 1, .q_len = 9, .kv_len = 5});
  const std::vector<float> slopes{0.5F, -0.25F};
  const auto table = capture(view(slopes.data(), {2}));
  call.options.score_mod =
      score_mod([=](auto s, auto, auto h, auto q, auto kv) { return s + table[h] * (q - kv); });
  const auto exact = call.run_backward(own()).score[0];
  std::vector<float> rounded(2);
  FlexGradients wanted;
  wanted.score_captures = {view(rounded.data(), {2})};
  flex_attention_backward(call.query, call.key, call.value, call.saved, wanted, call.options);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(rounded[i], static_cast<float>(exact[i]));
}

TEST(Float64Attention, TheSameBitsForAnyNumberOfThreads) {
  Case call({.batch = 2, .q_heads = 4, .kv_heads = 2, .q_len = 61, .kv_len = 150, .kv_batch = 1});
  const auto bias = capture(call.normal({4, 7}));
  const auto slopes = capture(call.normal({4}));
  call.options.score_mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
    return s * slopes[h] + bias[h][(q + 3 * kv) % 7];
  });
  call.options.weight_mod = weight_mod([](auto w, auto, auto, auto, auto) { return w * (1 - w); });
  std::optional<Gradients<double>> first;
  for (const int threads : {1, 2, 3, 7}) {
    const auto executor = make_thread_pool(threads);
    call.options.executor = executor.get();
    call.run_forward(own());
    const auto gradients = call.run_backward(own());
    if (!first) first = gradients;
    EXPECT_TRUE(gradients == *first) << threads << " threads";
  }
}

TEST(Float64Attention, ATensorThatNoGradientReachesGetsZeros) {
  Case call;
  const auto dropped = capture(call.normal({4})), rounded = capture(call.normal({4}));
  call.options.score_mod = score_mod([=](auto s, auto, auto, auto, auto kv) {
    return where(kv == kv, s, dropped[kv]) + floor(rounded[kv]);
  });
  const auto got = call.run_backward(own());
  ASSERT_EQ(got.score.size(), 2U);
  for (const auto& gradient : got.score) EXPECT_EQ(gradient, std::vector<double>(4, 0.0));
}

}  // namespace
}  // namespace fovea
