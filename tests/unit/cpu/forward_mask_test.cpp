// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "mask/block_mask_data.h"
#include "unit/cpu/attention_harness.h"

/// Masks and mods: which keys a row sees, and that nothing of the others reaches it.
namespace fovea::cpu::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

class ForwardMask : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, ForwardMask, ::testing::ValuesIn(all_kernels()), name_of_kernels);

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

TEST_P(ForwardMask, EveryMaskWithEveryBlockSize) {
  const Shape shape{
      .q_len = 150, .kv_len = 170, .head_dim = 16, .batch = 2, .q_heads = 2, .kv_heads = 1};
  Inputs inputs(shape);
  for (const NamedMod& mask : masks()) {
    for (const BlockSize size : {BlockSize{128, 128}, BlockSize{32, 16}, BlockSize{7, 5},
                                 BlockSize{1, 1}, BlockSize{500, 3}}) {
      inputs.options.block_mask = block_mask(mask.mod, shape, size);
      EXPECT_TRUE(is_right(GetParam(), inputs, 2))
          << mask.name << ", block " << size.q << " x " << size.kv;
    }
  }
}

TEST_P(ForwardMask, ScoreModsInFullAndPartialBlocks) {
  const NamedMod mods[] = {
      {"alibi", score_mod([](auto s, auto, auto h, auto q, auto kv) {
         return s - (h + 1) * 0.05f * (q - kv);
       })},
      {"softcap", score_mod([](auto s, auto, auto, auto, auto) { return 2.0f * tanh(s / 2.0f); })},
      {"masks by itself", score_mod([](auto s, auto, auto, auto q, auto kv) {
         return where(kv > q + 3, -std::numeric_limits<float>::infinity(), s);
       })},
  };
  for (const Shape& shape :
       {Shape{.q_len = 200, .kv_len = 300, .head_dim = 16, .q_heads = 2, .kv_heads = 2},
        Shape{.q_len = 33, .kv_len = 17, .head_dim = 16, .q_heads = 3}}) {
    for (const NamedMod& mod : mods) {
      Inputs inputs(shape);
      inputs.options.score_mod = mod.mod;
      EXPECT_TRUE(is_right(GetParam(), inputs, 2)) << mod.name;
      for (const NamedMod& mask : masks()) {
        inputs.options.block_mask = block_mask(mask.mod, shape, {64, 32});
        EXPECT_TRUE(is_right(GetParam(), inputs, 2)) << mod.name << ", " << mask.name;
      }
    }
  }
}

TEST_P(ForwardMask, SameBitsForAnyNumberOfThreads) {
  const Shape shape{.q_len = 333, .kv_len = 333, .head_dim = 32, .q_heads = 4, .kv_heads = 2};
  Inputs inputs(shape);
  for (const NamedMod& mask : masks()) {
    inputs.options.block_mask = block_mask(mask.mod, shape, {64, 64});
    const Result expected = run_kernels(GetParam(), inputs, 1);
    for (const int threads : {2, 3, 7}) {
      EXPECT_TRUE(run_kernels(GetParam(), inputs, threads) == expected)
          << mask.name << ", " << threads;
    }
  }
}

TEST_P(ForwardMask, RowsWithoutKeys) {
  const Shape shape{.q_len = 70, .kv_len = 64, .head_dim = 8};
  Inputs inputs(shape);
  const Program mod =
      mask_mod([](auto, auto, auto q, auto kv) { return q >= 10 && q < 60 && kv < q; });
  inputs.options.block_mask = block_mask(mod, shape, {16, 16});
  const Result got = run_kernels(GetParam(), inputs);
  for (const std::size_t row : {0u, 9u, 60u, 69u}) {
    EXPECT_EQ(got.lse[row], -kInf);
    for (std::size_t e = 0; e < 8; ++e) EXPECT_EQ(got.out[row * 8 + e], 0.0f);
  }
  EXPECT_TRUE(is_near(got, run_reference(inputs)));
}

// Lists in any order, runs that touch: as other libraries make them.
TEST_P(ForwardMask, BlockListsInAnyOrder) {
  const Shape shape{.q_len = 100, .kv_len = 120, .head_dim = 8};
  Inputs inputs(shape);
  const Program mod =
      mask_mod([](auto, auto, auto q, auto kv) { return (q * 7 + kv) % 3 != 0 || kv < 40; });
  const BlockMask ascending = block_mask(mod, shape, {20, 10});
  const auto shuffled = [](const mask::RunLists& lists) {
    mask::RunLists result{.offsets = {0}, .runs = {}};
    for (std::size_t line = 0; line + 1 < lists.offsets.size(); ++line) {
      std::vector<BlockRun> blocks;
      for (const BlockRun& run : lists.line(static_cast<int64_t>(line))) {
        for (int32_t i = run.begin; i < run.end; ++i) blocks.push_back({i, i + 1});
      }
      std::reverse(blocks.begin(), blocks.end());
      if (blocks.size() > 2) std::swap(blocks[0], blocks[blocks.size() / 2]);
      result.runs.insert(result.runs.end(), blocks.begin(), blocks.end());
      result.offsets.push_back(static_cast<uint32_t>(result.runs.size()));
    }
    return result;
  };
  // Rebuilt from the public lists.
  auto data = std::make_shared<BlockMask::Data>();
  auto plane = std::make_shared<mask::Plane>();
  plane->full.offsets = plane->partial.offsets = {0};
  for (int64_t row = 0; row < ascending.rows(); ++row) {
    for (const BlockRun& run : ascending.full(0, 0, row)) plane->full.runs.push_back(run);
    for (const BlockRun& run : ascending.partial(0, 0, row)) plane->partial.runs.push_back(run);
    plane->full.offsets.push_back(static_cast<uint32_t>(plane->full.runs.size()));
    plane->partial.offsets.push_back(static_cast<uint32_t>(plane->partial.runs.size()));
  }
  plane->full = shuffled(plane->full);
  plane->partial = shuffled(plane->partial);
  data->mask_mod = mod;
  data->q_len = shape.q_len;
  data->kv_len = shape.kv_len;
  data->block_size = {20, 10};
  data->rows = ascending.rows();
  data->columns = ascending.columns();
  data->planes = {plane};
  inputs.options.block_mask = BlockMask(std::move(data));
  EXPECT_TRUE(is_right(GetParam(), inputs));
}

// Only the keys that a row sees can spoil it.
TEST_P(ForwardMask, NothingLeaksFromBehindTheMask) {
  const Shape shape{.q_len = 90, .kv_len = 300, .head_dim = 16, .value_dim = 20};
  const Program mod =
      mask_mod([](auto, auto, auto q, auto kv) { return kv <= q * 3 && kv % 5 != 2; });
  for (const float poison : {kNan, kInf, -kInf}) {
    Inputs inputs(shape);
    for (const int64_t key : {2, 7, 100, 202, 297}) {
      if (key % 5 != 2) inputs.value_data[static_cast<std::size_t>(key * 20 + 3)] = 5;
      for (std::size_t e = 0; e < 16; ++e) {
        if (key % 5 == 2) inputs.key_data[static_cast<std::size_t>(key) * 16 + e] = poison;
      }
      for (std::size_t e = 0; e < 20; ++e) {
        if (key % 5 == 2) inputs.value_data[static_cast<std::size_t>(key) * 20 + e] = poison;
      }
    }
    inputs.options.block_mask = block_mask(mod, shape, {32, 64});
    const Result got = run_kernels(GetParam(), inputs);
    for (const float x : got.out) ASSERT_TRUE(std::isfinite(x)) << poison;
    EXPECT_TRUE(is_near(got, run_reference(inputs))) << poison;

    // The same by a score_mod.
    inputs.options.block_mask = {};
    inputs.options.score_mod = score_mod([](auto s, auto, auto, auto q, auto kv) {
      return where(kv <= q * 3 && kv % 5 != 2, s, -std::numeric_limits<float>::infinity());
    });
    EXPECT_TRUE(is_right(GetParam(), inputs)) << poison;
  }
}

// Causal: rows before the poisoned key are clean, the others are what the reference says.
TEST_P(ForwardMask, VisibleNanAndInfinityDoAsInTheReference) {
  const Shape shape{.q_len = 150, .kv_len = 150, .head_dim = 16};
  const Program mod = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  for (const float poison : {kNan, kInf, -kInf}) {
    for (const bool in_key : {false, true}) {
      Inputs inputs(shape);
      (in_key ? inputs.key_data : inputs.value_data)[70 * 16 + 3] = poison;
      EXPECT_TRUE(is_right(GetParam(), inputs)) << poison << " in " << (in_key ? "key" : "value");
      inputs.options.block_mask = block_mask(mod, shape, {32, 32});
      EXPECT_TRUE(is_right(GetParam(), inputs)) << poison << " in " << (in_key ? "key" : "value");
    }
    Inputs inputs(shape);
    inputs.query_data[70 * 16 + 3] = poison;
    EXPECT_TRUE(is_right(GetParam(), inputs)) << poison << " in query";
  }
}

// An infinite value that a row sees stays infinite, however small its weight becomes.
TEST_P(ForwardMask, InfiniteValuesWithVanishingWeights) {
  Inputs inputs({.q_len = 10, .kv_len = 600, .head_dim = 8});
  inputs.value_data[5 * 8 + 1] = kInf;
  inputs.value_data[550 * 8 + 2] = -kInf;
  for (const float slope : {0.4f, -0.4f}) {
    // The largest scores are near 0, where float32 keeps their differences.
    const int64_t top = slope > 0 ? 599 : 0;
    inputs.options.score_mod = score_mod(
        [=](auto s, auto, auto, auto, auto kv) { return s + slope * to_float(kv - top); });
    // The scores reach 240, where f32 is that coarse.
    EXPECT_TRUE(is_right(GetParam(), inputs, 1, 1e-4)) << slope;
  }
}

}  // namespace
}  // namespace fovea::cpu::testing
