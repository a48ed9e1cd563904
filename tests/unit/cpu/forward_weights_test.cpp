// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/dropout.h>
#include "cpu/attention/forward_programs.h"
#include "unit/cpu/attention_harness.h"

/// weight_mod: in one pass where it is linear in the weight, else in two; dropout.
namespace fovea::cpu::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

class ForwardWeights : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, ForwardWeights, ::testing::ValuesIn(all_kernels()), name_of_kernels);

struct NamedMod {
  const char* name;
  Program mod;
  bool linear;
};

const std::vector<NamedMod>& mods() {
  static const int64_t seed = 11, offset = 1 << 20;
  static std::vector<float> gates(400);
  for (std::size_t i = 0; i < gates.size(); ++i) gates[i] = std::sin(static_cast<float>(i));
  const auto gate = capture(view(gates.data(), {400}));
  // A row's weights stay about 1 in sum, as those of the softmax, so that rounding does, too.
  static const std::vector<NamedMod> all = {
      {"dropout", dropout(0.3, view(&seed, Dims{}), view(&offset, Dims{})), true},
      {"gate of the head",
       weight_mod([=](auto w, auto, auto h, auto, auto) { return w * gate[h]; }), true},
      {"value score",
       weight_mod([=](auto w, auto, auto, auto, auto kv) { return w * sigmoid(gate[kv]); }), true},
      {"by distance",
       weight_mod([](auto w, auto, auto, auto q, auto kv) { return w / (1.0f + abs(q - kv)); }),
       true},
      {"only some", weight_mod([](auto w, auto, auto, auto q, auto kv) {
         return where(q % 2 == kv % 3, w, 0.0f);
       }),
       true},
      {"square", weight_mod([](auto w, auto, auto, auto, auto) { return w * w; }), false},
      {"not 0 at 0", weight_mod([=](auto w, auto, auto, auto q, auto) {
         return 0.001f * gate[q] + 0.005f * exp(-w);
       }),
       false},
      {"threshold",
       weight_mod([](auto w, auto, auto, auto, auto) { return where(w > 0.011f, w, 0.005f); }),
       false},
  };
  return all;
}

BlockMask block_mask(const Program& mod, const Shape& s, BlockSize size) {
  return create_block_mask(mod, {.q_len = s.q_len,
                                 .kv_len = s.kv_len,
                                 .batch = s.batch,
                                 .heads = s.q_heads,
                                 .block_size = size});
}

TEST_P(ForwardWeights, WhichTakeOnePass) {
  for (const NamedMod& mod : mods()) {
    Inputs inputs({.q_len = 2, .kv_len = 3});
    attention::Problem problem;
    problem = attention::validate("test", inputs.query, inputs.key, inputs.value, inputs.query,
                                  {.weight_mod = mod.mod});
    EXPECT_EQ(ForwardPrograms(problem).two_passes, !mod.linear) << mod.name;
  }
}

TEST_P(ForwardWeights, RaggedLengthsAndHeads) {
  const Shape shapes[] = {
      {.q_len = 1, .kv_len = 1, .head_dim = 3},
      {.q_len = 7, .kv_len = 129, .head_dim = 16, .value_dim = 5, .q_heads = 2, .kv_heads = 1},
      {.q_len = 127, .kv_len = 300, .head_dim = 24, .batch = 2, .q_heads = 4, .kv_heads = 2},
      {.q_len = 5, .kv_len = 0, .head_dim = 8}};
  for (const Shape& shape : shapes) {
    for (const NamedMod& mod : mods()) {
      Inputs inputs(shape);
      inputs.options.weight_mod = mod.mod;
      EXPECT_TRUE(is_right(GetParam(), inputs, 2)) << mod.name;
    }
  }
}

TEST_P(ForwardWeights, WithMasksScoreModsAndSinks) {
  const Shape shape{
      .q_len = 150, .kv_len = 170, .head_dim = 16, .batch = 2, .q_heads = 2, .kv_heads = 1};
  const Program masks[] = {
      mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; }),
      mask_mod([](auto, auto h, auto q, auto kv) { return q % 3 == 0 && kv < 50 + h; }),
      mask_mod([](auto, auto, auto q, auto kv) { return (q + kv) % 7 == 1; }),
  };
  const Program alibi = score_mod(
      [](auto s, auto, auto h, auto q, auto kv) { return s - (h + 1) * 0.05f * (q - kv); });
  const std::array<float, 2> sinks{0.5f, -3};
  for (const NamedMod& mod : mods()) {
    Inputs inputs(shape);
    inputs.options.weight_mod = mod.mod;
    for (const Program& mask : masks) {
      for (const BlockSize size : {BlockSize{64, 32}, BlockSize{7, 5}}) {
        inputs.options.block_mask = block_mask(mask, shape, size);
        inputs.options.score_mod = {};
        inputs.options.sinks = {};
        EXPECT_TRUE(is_right(GetParam(), inputs, 2)) << mod.name << "\n" << mask.to_string();
        inputs.options.score_mod = alibi;
        inputs.options.sinks = view(sinks.data(), {2});
        EXPECT_TRUE(is_right(GetParam(), inputs, 2)) << mod.name << "\n" << mask.to_string();
      }
    }
  }
}

TEST_P(ForwardWeights, LseIsThatOfTheSoftmax) {
  Inputs inputs({.q_len = 20, .kv_len = 333, .head_dim = 8});
  const Result plain = run_kernels(GetParam(), inputs);
  for (const NamedMod& mod : mods()) {
    inputs.options.weight_mod = mod.mod;
    EXPECT_EQ(run_kernels(GetParam(), inputs).lse, plain.lse) << mod.name;
  }
}

TEST_P(ForwardWeights, SameBitsForAnyNumberOfThreads) {
  const Shape shape{.q_len = 333, .kv_len = 333, .head_dim = 32, .q_heads = 4, .kv_heads = 2};
  Inputs inputs(shape);
  const Program causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  for (const NamedMod& mod : mods()) {
    inputs.options.weight_mod = mod.mod;
    for (const bool masked : {false, true}) {
      inputs.options.block_mask = masked ? block_mask(causal, shape, {64, 64}) : BlockMask{};
      const Result expected = run_kernels(GetParam(), inputs, 1);
      for (const int threads : {2, 3, 7}) {
        EXPECT_TRUE(run_kernels(GetParam(), inputs, threads) == expected)
            << mod.name << ", " << threads;
      }
    }
  }
}

// Weights that leave f32: masked and hardly visible keys must not be taken for each other.
TEST_P(ForwardWeights, ScoresFarApart) {
  Inputs inputs({.q_len = 9, .kv_len = 70, .head_dim = 4});
  inputs.options.scale = 80;
  for (const NamedMod& mod : mods()) {
    inputs.options.weight_mod = mod.mod;
    // Scores of 500 have errors of 5e-5.
    EXPECT_TRUE(is_right(GetParam(), inputs, 1, 3e-4)) << mod.name;
  }
}

TEST_P(ForwardWeights, NothingLeaksFromWhereTheWeightIs0) {
  const Shape shape{.q_len = 70, .kv_len = 130, .head_dim = 8};
  for (const float poison : {kNan, kInf}) {
    Inputs inputs(shape);
    for (std::size_t e = 0; e < 8; ++e) inputs.value_data[100 * 8 + e] = poison;
    inputs.options.weight_mod =
        weight_mod([](auto w, auto, auto, auto, auto kv) { return where(kv == 100, 0.0f, w); });
    EXPECT_TRUE(is_right(GetParam(), inputs));
    inputs.options.weight_mod =
        weight_mod([](auto w, auto, auto, auto, auto kv) { return where(kv == 100, 0.0f, w * w); });
    EXPECT_TRUE(is_right(GetParam(), inputs));
    // A program that is not finite where the mask is false.
    const Program mask = mask_mod([](auto, auto, auto q, auto kv) { return kv < 100 - q; });
    inputs.options.block_mask = block_mask(mask, shape, {16, 16});
    for (const bool linear : {true, false}) {
      inputs.options.weight_mod = weight_mod([=](auto w, auto, auto, auto q, auto kv) {
        return (linear ? w : w * w) * where(kv < 100 - q, 2.0f, poison);
      });
      EXPECT_TRUE(is_right(GetParam(), inputs));
    }
  }
}

TEST_P(ForwardWeights, IntegersOf64Bits) {
  Inputs inputs({.q_len = 20, .kv_len = 50, .head_dim = 8, .q_heads = 2, .kv_heads = 2});
  for (const bool linear : {true, false}) {
    inputs.options.weight_mod = weight_mod([=](auto w, auto, auto, auto q, auto kv) {
      const Value large = (q + 1) * 100000 * (kv + 1) * 100000;
      return where(large % 7 == 3, 0.0f, linear ? w : w + 0.25f);
    });
    EXPECT_TRUE(is_right(GetParam(), inputs));
  }
}

// Dropped weights are those of the program, on every instruction set: with values of 1 at one key each, out
// is the weight itself.
TEST_P(ForwardWeights, DropsWhatTheInterpreterDrops) {
  constexpr int64_t kKeys = 61;
  Inputs inputs({.q_len = 150,
                 .kv_len = kKeys,
                 .head_dim = 4,
                 .value_dim = kKeys,
                 .q_heads = 2,
                 .kv_heads = 1});
  for (int64_t kv = 0; kv < kKeys; ++kv) {
    for (int64_t e = 0; e < kKeys; ++e) {
      inputs.value_data[static_cast<std::size_t>(kv * kKeys + e)] = kv == e ? 1.0f : 0.0f;
    }
  }
  inputs.options.weight_mod = mods()[0].mod;
  const Result got = run_kernels(GetParam(), inputs, 3), expected = run_reference(inputs);
  int64_t dropped = 0;
  for (std::size_t i = 0; i < got.out.size(); ++i) {
    ASSERT_EQ(got.out[i] == 0, expected.out[i] == 0) << i;
    dropped += got.out[i] == 0 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(dropped) / static_cast<double>(got.out.size()), 0.3, 0.02);
}

}  // namespace
}  // namespace fovea::cpu::testing
