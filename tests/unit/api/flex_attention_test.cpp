// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

namespace fovea {
namespace {

constexpr int64_t kBatch = 2, kHeads = 4, kKeyHeads = 2, kLength = 70, kDim = 24;

// One call's tensors, filled from `seed`.
struct Call {
  explicit Call(uint64_t seed) {
    const auto fill = [&](std::vector<float>& data, int64_t heads, uint64_t stream) {
      data.resize(static_cast<std::size_t>(kBatch * heads * kLength * kDim));
      for (std::size_t i = 0; i < data.size(); ++i) data[i] = Random(seed * 3 + stream).normal(i);
    };
    fill(q, kHeads, 0), fill(k, kKeyHeads, 1), fill(v, kKeyHeads, 2);
    out.resize(q.size());
    expected.resize(q.size());
  }
  static TensorView four(std::vector<float>& data, int64_t heads) {
    return view(data.data(), {kBatch, heads, kLength, kDim});
  }
  void run(const FlexOptions& options) {
    flex_attention(four(q, kHeads), four(k, kKeyHeads), four(v, kKeyHeads), four(out, kHeads),
                   options);
  }
  void run_reference(const FlexOptions& options) {
    reference_attention(four(q, kHeads), four(k, kKeyHeads), four(v, kKeyHeads),
                        four(expected, kHeads), options);
  }
  double error() const {
    double worst = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double e = std::abs(static_cast<double>(out[i]) - static_cast<double>(expected[i]));
      worst = std::isnan(e) ? INFINITY : std::max(worst, e);
    }
    return worst;
  }
  std::vector<float> q, k, v, out, expected;
};

FlexOptions window_with_slopes(const std::vector<float>& slopes, int window) {
  const Capture slope = capture(view(slopes.data(), {kHeads}));
  return {.score_mod = score_mod(
              [=](auto s, auto, auto h, auto q, auto kv) { return s + slope[h] * (kv - q); }),
          .block_mask = create_block_mask(
              [=](auto, auto, auto q, auto kv) { return q >= kv && q - kv < window; },
              {.q_len = kLength, .kv_len = kLength, .block_size = {32, 32}})};
}

TEST(FlexAttention, EqualsTheReference) {
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0.0F};
  Call call(1);
  const FlexOptions options = window_with_slopes(slopes, 17);
  call.run(options);
  call.run_reference(options);
  EXPECT_LT(call.error(), 1e-5);
}

TEST(FlexAttention, AWorkspaceOfTheStatedSizeIsEnoughAndChangesNoBit) {
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0.0F};
  Call call(2);
  FlexOptions options = window_with_slopes(slopes, 9);
  call.run(options);
  const std::vector<float> first = call.out;
  const std::size_t bytes =
      workspace_bytes(Call::four(call.q, kHeads), Call::four(call.k, kKeyHeads),
                      Call::four(call.v, kKeyHeads), Call::four(call.out, kHeads), options);
  ASSERT_GT(bytes, 0U);
  std::vector<std::byte> memory(bytes + 128, std::byte{0x5a});
  void* data = memory.data();
  std::size_t space = bytes + 64;
  ASSERT_NE(std::align(64, bytes, data, space), nullptr);
  options.workspace = {data, bytes};
  call.run(options);
  EXPECT_EQ(call.out, first);
  EXPECT_EQ(static_cast<std::byte*>(data)[bytes], std::byte{0x5a}) << "written beyond its end";
}

TEST(FlexAttention, PrepareChangesNoBit) {
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0.0F};
  Call call(3);
  const FlexOptions options = window_with_slopes(slopes, 30);
  prepare(Call::four(call.q, kHeads), Call::four(call.k, kKeyHeads), Call::four(call.v, kKeyHeads),
          Call::four(call.out, kHeads), options);
  call.run(options);
  const std::vector<float> first = call.out;
  call.run(options);
  EXPECT_EQ(call.out, first);
}

TEST(FlexAttention, ReferenceRowIsARowOfTheReference) {
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0.0F};
  Call call(4);
  const FlexOptions options = window_with_slopes(slopes, 12);
  call.run_reference(options);
  std::vector<double> row(kDim);
  const double lse = reference_row(Call::four(call.q, kHeads), Call::four(call.k, kKeyHeads),
                                   Call::four(call.v, kKeyHeads), options, 1, 3, kLength - 1, row);
  EXPECT_TRUE(std::isfinite(lse));
  const std::size_t at = ((kHeads + 3) * kLength + kLength - 1) * kDim;
  for (std::size_t d = 0; d < kDim; ++d) {
    EXPECT_FLOAT_EQ(static_cast<float>(row[d]), call.expected[at + d]);
  }
}

TEST(FlexAttention, CausalIsTheBlockMaskThatSaysTheSame) {
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0.0F};
  const auto causal = create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                        {.q_len = kLength, .kv_len = kLength});
  Call option(6), mask(6);
  for (const Causal which : {Causal::upper_left, Causal::lower_right}) {
    option.run({.causal = which});
    mask.run({.block_mask = causal});
    EXPECT_EQ(option.out, mask.out);
  }
  FlexOptions both = window_with_slopes(slopes, 12);
  both.block_mask =
      create_block_mask([](auto, auto, auto q, auto kv) { return abs(q - kv) < 12; },
                        {.q_len = kLength, .kv_len = kLength, .block_size = {32, 32}});
  both.causal = Causal::upper_left;
  option.run(both);
  mask.run(window_with_slopes(slopes, 12));
  EXPECT_EQ(option.out, mask.out);
}

TEST(FlexAttention, DropoutDropsTheSameAtEachCallAndInTheReference) {
  const int64_t seed = 3;
  int64_t offset = 0;
  Call call(7);
  const FlexOptions options{.weight_mod =
                                dropout(0.25, view(&seed, Dims{}), view(&offset, Dims{}))};
  call.run(options);
  call.run_reference(options);
  EXPECT_LT(call.error(), 1e-5);
  const std::vector<float> first = call.out;
  call.run(options);
  EXPECT_EQ(call.out, first);
  offset = 1;
  call.run(options);
  EXPECT_NE(call.out, first);
}

TEST(FlexAttention, ExplainSaysHowWeightModsRunAndWhatCausalBecame) {
  Call call(8);
  const auto text = [&](const FlexOptions& options) {
    return explain(Call::four(call.q, kHeads), Call::four(call.k, kKeyHeads),
                   Call::four(call.v, kKeyHeads), Call::four(call.out, kHeads), options);
  };
  const auto gate = weight_mod([](auto w, auto, auto h, auto, auto) { return w * to_float(h); });
  const auto square = weight_mod([](auto w, auto, auto, auto, auto) { return w * w; });
  EXPECT_NE(text({.weight_mod = gate}).find("linear in the weight"), std::string::npos);
  EXPECT_NE(text({.weight_mod = square}).find("the keys are walked twice"), std::string::npos);
  EXPECT_NE(text({.causal = Causal::lower_right}).find("causal: lower_right"), std::string::npos);
}

TEST(FlexAttention, ExplainNamesTheParts) {
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0.0F};
  Call call(5);
  const std::string text = explain(Call::four(call.q, kHeads), Call::four(call.k, kKeyHeads),
                                   Call::four(call.v, kKeyHeads), Call::four(call.out, kHeads),
                                   window_with_slopes(slopes, 12));
  for (const char* part : {"score_mod", "mask_mod", "diagonal", "cpu", "blocks"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

// Threads that meet in the plan cache, in the range tables and in the default executor.
TEST(FlexAttention, ConcurrentCallsDoNotDisturbEachOther) {
  constexpr int kCallers = 4, kRounds = 6;
  const std::vector<float> slopes = {0.5F, 0.25F, 0.125F, 0.0F};
  std::vector<Call> expected;
  for (int i = 0; i < kCallers; ++i) {
    expected.emplace_back(static_cast<uint64_t>(i));
    expected.back().run(window_with_slopes(slopes, 5 + i));
  }
  std::atomic<int> differences{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        const int which = (i + round) % kCallers;
        Call call(static_cast<uint64_t>(which));
        FlexOptions options = window_with_slopes(slopes, 5 + which);
        // A structure that no other call has, so that plans are made while others are looked up.
        if (round % 2 == 1) {
          const int power = i * kRounds + round + 3;
          options.score_mod = score_mod([&](auto s, auto, auto, auto q, auto kv) {
            return s - to_float((q - kv) / power) * 0.01;
          });
          call.run(options);
          call.run_reference(options);
          if (!(call.error() < 1e-5)) ++differences;
        } else {
          call.run(options);
          if (call.out != expected[static_cast<std::size_t>(which)].out) ++differences;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(differences, 0);
}

}  // namespace
}  // namespace fovea
