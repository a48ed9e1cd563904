// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/decode.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "unit/cpu/attention_harness.h"

/// Few queries on many keys, against the float64 reference.
namespace fovea::cpu::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

const Types kF32;
const Types kBF16{DType::bf16, DType::bf16, DType::bf16, DType::bf16};
const Types kF16{DType::f16, DType::f16, DType::f16, DType::f16};
const Types kWideQuery{DType::f32, DType::bf16, DType::f16, DType::f32};

class Decode : public ::testing::TestWithParam<NamedKernels> {
 protected:
  ::testing::AssertionResult right(Inputs inputs, const Types& types = kF32, int threads = 1,
                                   double tolerance = 4e-6) const {
    inputs.types = types;
    if (types.out == DType::bf16) tolerance += 0x1p-8;
    if (types.out == DType::f16) tolerance += 0x1p-11;
    return is_right(GetParam(), inputs, threads, tolerance, Path::decode);
  }
  Result run(const Inputs& inputs, int threads = 1) const {
    return run_kernels(GetParam(), inputs, threads, Path::decode);
  }
};
INSTANTIATE_TEST_SUITE_P(Isa, Decode, ::testing::ValuesIn(all_kernels()), name_of_kernels);

// Rows of a key head: q_len times the heads of a group.
TEST_P(Decode, RaggedLengthsAndEveryNumberOfRows) {
  for (const int64_t kv_len : {0, 1, 7, 127, 129, 1023, 1024, 1025, 2500}) {
    EXPECT_TRUE(right(Inputs({.q_len = 1, .kv_len = kv_len, .head_dim = 64})));
    EXPECT_TRUE(right(Inputs(
        {.q_len = 1, .kv_len = kv_len, .head_dim = 16, .batch = 2, .q_heads = 8, .kv_heads = 2})));
  }
  for (int64_t rows = 1; rows <= kMaxDecodeRows; ++rows) {
    EXPECT_TRUE(right(Inputs({.q_len = rows, .kv_len = 1100, .head_dim = 24})));
    EXPECT_TRUE(right(Inputs({.q_len = 1, .kv_len = 70, .head_dim = 24, .q_heads = rows})));
  }
  EXPECT_TRUE(right(Inputs(
      {.q_len = 5, .kv_len = 1100, .head_dim = 24, .batch = 2, .q_heads = 6, .kv_heads = 2})));
}

TEST_P(Decode, HeadDimsOfEveryType) {
  for (const Types& types : {kF32, kBF16, kF16, kWideQuery}) {
    for (const int64_t dim : {1, 3, 16, 17, 64, 65, 80, 128, 255, 512}) {
      for (const int64_t rows : {1, 3, 4}) {
        EXPECT_TRUE(
            right(Inputs({.q_len = rows, .kv_len = 75, .head_dim = dim, .value_dim = 24}), types));
        EXPECT_TRUE(
            right(Inputs({.q_len = rows, .kv_len = 75, .head_dim = 24, .value_dim = dim}), types));
      }
    }
  }
}

TEST_P(Decode, EveryMixOfTypes) {
  const DType all[] = {DType::f32, DType::bf16, DType::f16};
  Inputs inputs({.q_len = 1, .kv_len = 1077, .head_dim = 19, .q_heads = 4, .kv_heads = 2});
  for (const DType query : all) {
    for (const DType key : all) {
      for (const DType value : all) {
        for (const DType out : all) EXPECT_TRUE(right(inputs, {query, key, value, out}));
      }
    }
  }
}

// Rows at any distance, in any direction; elements of a row together, but for queries.
TEST_P(Decode, Strides) {
  const Shape shape{.q_len = 3, .kv_len = 1050, .head_dim = 20};
  const Inputs plain(shape);
  const Result expected = run(plain);
  Inputs inputs = plain;
  std::vector<float> spread[2];
  for (int t = 0; t < 2; ++t) {
    TensorView& tensor = t == 0 ? inputs.key : inputs.value;
    spread[t].assign(1050 * 31, kNan);
    for (std::size_t i = 0; i < 1050; ++i) {
      std::copy_n(static_cast<const float*>(tensor.data) + i * 20, 20,
                  spread[t].begin() + static_cast<std::ptrdiff_t>((1049 - i) * 31));
    }
    tensor = view(spread[t].data() + 1049 * 31, tensor.sizes, {0, 0, -31, 1});
  }
  EXPECT_TRUE(run(inputs) == expected);
  std::vector<float> columns(60);
  for (std::size_t i = 0; i < 60; ++i) columns[i % 20 * 3 + i / 20] = plain.query_data[i];
  inputs.query = view(columns.data(), inputs.query.sizes, {0, 0, 1, 3});
  EXPECT_TRUE(run(inputs) == expected);
  inputs.key.strides[2] = 0;
  EXPECT_TRUE(right(inputs));
}

struct NamedMod {
  const char* name;
  Program mod;
};

std::vector<NamedMod> masks() {
  return {
      {"last keys", mask_mod([](auto, auto, auto q, auto kv) { return kv <= q + 1995; })},
      {"window", mask_mod([](auto, auto, auto q, auto kv) { return kv > 1900 && kv < q + 1990; })},
      {"two pieces", mask_mod([](auto, auto, auto, auto kv) { return kv < 10 || kv > 1990; })},
      {"by head", mask_mod([](auto, auto h, auto, auto kv) { return kv / 100 % 4 == h; })},
      {"by batch", mask_mod([](auto b, auto, auto, auto kv) { return kv < 1500 * b + 5; })},
      {"by query", mask_mod([](auto, auto, auto q, auto kv) { return kv / 64 % 2 == q % 2; })},
      {"odd keys", mask_mod([](auto, auto, auto, auto kv) { return kv % 2 == 1; })},
      {"not every row", mask_mod([](auto, auto h, auto, auto kv) { return h != 2 && kv < 999; })},
      {"nothing", mask_mod([](auto, auto, auto q, auto) { return q < 0; })},
  };
}

TEST_P(Decode, EveryMaskWithEveryBlockSizeAndMods) {
  const Shape shape{
      .q_len = 2, .kv_len = 2000, .head_dim = 8, .batch = 2, .q_heads = 4, .kv_heads = 2};
  const NamedMod mods[] = {
      {"none", {}},
      {"alibi", score_mod([](auto s, auto, auto h, auto q, auto kv) {
         return s - (h + 1) * 0.05f * abs(q + 1998 - kv);
       })},
      {"softcap", score_mod([](auto s, auto, auto, auto, auto) { return 2.0f * tanh(s / 2.0f); })},
  };
  Inputs inputs(shape);
  for (const NamedMod& mod : mods) {
    inputs.options.score_mod = mod.mod;
    inputs.options.block_mask = {};
    EXPECT_TRUE(right(inputs, kF32, 2, 2e-5)) << mod.name;
    for (const NamedMod& mask : masks()) {
      for (const BlockSize size : {BlockSize{128, 128}, BlockSize{1, 16}, BlockSize{2, 7},
                                   BlockSize{1, 1500}, BlockSize{128, 1}}) {
        inputs.options.block_mask = create_block_mask(
            mask.mod, {.q_len = 2, .kv_len = 2000, .batch = 2, .heads = 4, .block_size = size});
        EXPECT_TRUE(right(inputs, kF32, 2, 2e-5))
            << mod.name << ", " << mask.name << ", block " << size.q << " x " << size.kv;
      }
    }
  }
}

TEST_P(Decode, RowsWithoutKeys) {
  Inputs inputs({.q_len = 1, .kv_len = 3000, .head_dim = 8, .q_heads = 4});
  inputs.options.block_mask =
      create_block_mask([](auto, auto h, auto, auto kv) { return h % 2 == 0 && kv > 2500; },
                        {.q_len = 1, .kv_len = 3000, .heads = 4});
  const Result got = run(inputs);
  for (const std::size_t row : {1u, 3u}) {
    EXPECT_EQ(got.lse[row], -kInf);
    for (std::size_t e = 0; e < 8; ++e) EXPECT_EQ(got.out[row * 8 + e], 0.0f);
  }
  EXPECT_TRUE(is_near(got, run_reference(inputs)));
}

TEST_P(Decode, NothingLeaksFromBehindTheMask) {
  for (const Types& types : {kF32, kBF16, kF16}) {
    for (const float poison : {kNan, kInf, -kInf}) {
      Inputs inputs({.q_len = 1, .kv_len = 1500, .head_dim = 16, .q_heads = 2});
      for (std::size_t key = 2; key < 1500; key += 5) {
        std::fill_n(inputs.key_data.begin() + static_cast<std::ptrdiff_t>(key * 16), 16, poison);
        std::fill_n(inputs.value_data.begin() + static_cast<std::ptrdiff_t>(key * 16), 16, poison);
      }
      inputs.options.block_mask = create_block_mask(
          [](auto, auto h, auto, auto kv) { return kv % 5 != 2 && kv < 1200 + h; },
          {.q_len = 1, .kv_len = 1500, .heads = 2, .block_size = {1, 9}});
      inputs.types = types;
      for (const float x : run(inputs).out) ASSERT_TRUE(std::isfinite(x)) << poison;
      EXPECT_TRUE(right(inputs, types)) << poison;
    }
  }
}

TEST_P(Decode, VisibleNanAndInfinityDoAsInTheReference) {
  for (const float poison : {kNan, kInf, -kInf}) {
    for (std::vector<float> Inputs::* data :
         {&Inputs::query_data, &Inputs::key_data, &Inputs::value_data}) {
      Inputs inputs({.q_len = 2, .kv_len = 1300, .head_dim = 16});
      (inputs.*data)[16 + 3] = poison;
      EXPECT_TRUE(right(inputs)) << poison;
    }
  }
}

// An infinite value that a row sees stays infinite, however small its weight becomes, in its piece or beside
// those of other pieces.
TEST_P(Decode, InfiniteValuesWithVanishingWeights) {
  Inputs inputs({.q_len = 1, .kv_len = 2100, .head_dim = 8});
  inputs.value_data[5 * 8 + 1] = kInf;
  inputs.value_data[2090 * 8 + 2] = -kInf;
  for (const float slope : {0.11f, -0.11f}) {
    // The largest scores are near 0, where float32 keeps their differences.
    const int64_t top = slope > 0 ? 2099 : 0;
    inputs.options.score_mod = score_mod(
        [=](auto s, auto, auto, auto, auto kv) { return s + slope * to_float(kv - top); });
    EXPECT_TRUE(right(inputs, kF32, 1, 1e-4)) << slope;
  }
}

TEST_P(Decode, LargeScoresAndScales) {
  for (const double scale : {0.0, -1.0, 30.0, 1e7}) {
    Inputs inputs({.q_len = 1, .kv_len = 2500, .head_dim = 4, .q_heads = 3});
    for (float& x : inputs.query_data) x = std::round(4 * x);  // exact scores
    for (float& x : inputs.key_data) x = std::round(4 * x);
    inputs.options.scale = scale;
    EXPECT_TRUE(right(inputs, kF32, 1, 1e-4)) << scale;
  }
}

TEST_P(Decode, SameBitsForAnyNumberOfThreads) {
  for (const Shape& shape :
       {Shape{.q_len = 1, .kv_len = 5000, .q_heads = 8, .kv_heads = 2},
        Shape{.q_len = 3, .kv_len = 700, .batch = 5, .q_heads = 4, .kv_heads = 4}}) {
    for (const Types& types : {kF32, kBF16, kF16}) {
      Inputs inputs(shape);
      inputs.types = types;
      const Result expected = run(inputs);
      for (const int threads : {2, 3, 7}) {
        EXPECT_TRUE(run(inputs, threads) == expected) << threads << ", " << to_string(shape);
      }
    }
  }
}

// A row's bits depend neither on the other heads of its group nor on other queries.
TEST_P(Decode, SameBitsForAnyGroupingOfRows) {
  const Inputs all({.q_len = 13, .kv_len = 1200, .head_dim = 40});
  const Result expected = run(all);
  for (const int64_t count : {1, 2, 3, 5, 8}) {
    for (const int64_t first : {int64_t{0}, 13 - count}) {
      Inputs some = all;
      some.shape.q_len = count;
      some.query = view(all.query_data.data() + first * 40, {1, 1, count, 40});
      some.key = all.key;
      const Result got = run(some);
      EXPECT_TRUE(std::equal(got.out.begin(), got.out.end(), expected.out.begin() + first * 40))
          << first << " + " << count;
    }
  }
}

TEST(DecodeChoice, FewRowsWhoseKeysLieTogether) {
  const auto problem = [](const Shape& shape, bool transposed = false) {
    Inputs inputs(shape);
    if (transposed) std::swap(inputs.key.strides[2], inputs.key.strides[3]);
    std::vector<float> out(static_cast<std::size_t>(shape.q_heads * shape.q_len * 64));
    return decodes(attention::validate("test", inputs.query, inputs.key, inputs.value,
                                       view(out.data(), {1, shape.q_heads, shape.q_len, 64}), {}),
                   shape.q_len);
  };
  EXPECT_TRUE(problem({.q_len = 1, .kv_len = 9}));
  EXPECT_TRUE(problem({.q_len = 16, .kv_len = 9}));
  EXPECT_FALSE(problem({.q_len = 17, .kv_len = 9}));
  EXPECT_TRUE(problem({.q_len = 4, .kv_len = 9, .q_heads = 8, .kv_heads = 2}));
  EXPECT_FALSE(problem({.q_len = 5, .kv_len = 9, .q_heads = 8, .kv_heads = 2}));
  EXPECT_FALSE(problem({.q_len = 1, .kv_len = 9}, true));
}

}  // namespace
}  // namespace fovea::cpu::testing
