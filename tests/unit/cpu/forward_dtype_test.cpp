// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "unit/cpu/attention_harness.h"

/// Inputs and outputs of two bytes: right against the float64 reference on the same elements, and at most
/// twice as far off as a dense computation in that dtype.
namespace fovea::cpu::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

const Types kBF16{DType::bf16, DType::bf16, DType::bf16, DType::bf16};
const Types kF16{DType::f16, DType::f16, DType::f16, DType::f16};

// Relative: out is rounded, and weights too where bf16 is multiplied in pairs.
double tolerance_of(const Types& types) {
  const double out = types.out == DType::bf16 ? 0x1p-8 : types.out == DType::f16 ? 0x1p-11 : 0;
  const bool pairs =
      types.query == DType::bf16 && types.key == DType::bf16 && types.value == DType::bf16;
  return 4e-6 + out + (pairs ? 0x1p-8 : 0);
}

::testing::AssertionResult is_right(const NamedKernels& kernels, Inputs inputs,
                                    const Types& types) {
  inputs.types = types;
  return is_right(kernels, inputs, 1, tolerance_of(types));
}

class ForwardDType : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, ForwardDType, ::testing::ValuesIn(all_kernels()), name_of_kernels);

TEST_P(ForwardDType, RaggedLengths) {
  for (const Types& types : {kBF16, kF16}) {
    for (const int64_t q_len : {0, 1, 7, 33, 129}) {
      for (const int64_t kv_len : {0, 1, 7, 127, 129, 300, 1023}) {
        const Inputs inputs({.q_len = q_len, .kv_len = kv_len, .head_dim = 17, .value_dim = 33});
        EXPECT_TRUE(is_right(GetParam(), inputs, types));
      }
    }
  }
}

TEST_P(ForwardDType, HeadDims) {
  for (const Types& types : {kBF16, kF16}) {
    for (const int64_t dim : {1, 2, 3, 16, 31, 64, 65, 128, 255, 512}) {
      EXPECT_TRUE(is_right(GetParam(),
                           Inputs({.q_len = 37, .kv_len = 65, .head_dim = dim, .value_dim = 24}),
                           types));
      EXPECT_TRUE(is_right(GetParam(),
                           Inputs({.q_len = 37, .kv_len = 65, .head_dim = 24, .value_dim = dim}),
                           types));
    }
  }
}

TEST_P(ForwardDType, EveryMixOfTypes) {
  const DType all[] = {DType::f32, DType::bf16, DType::f16};
  Inputs inputs({.q_len = 20,
                 .kv_len = 77,
                 .head_dim = 19,
                 .value_dim = 21,
                 .batch = 2,
                 .q_heads = 4,
                 .kv_heads = 2});
  inputs.options.score_mod = score_mod(
      [](auto s, auto, auto h, auto q, auto kv) { return s - 0.1f * (h + 1) * abs(q - kv); });
  for (const DType query : all) {
    for (const DType key : all) {
      for (const DType value : all) {
        for (const DType out : all) {
          EXPECT_TRUE(is_right(GetParam(), inputs, {query, key, value, out}));
        }
      }
    }
  }
}

// Only what is stored is rounded: with f32 out a mix is as exact as f32.
TEST_P(ForwardDType, NothingIsRoundedButOutIfTypesDiffer) {
  Inputs inputs({.q_len = 40, .kv_len = 300, .head_dim = 40});
  for (const DType narrow : {DType::bf16, DType::f16}) {
    inputs.types = {DType::f32, narrow, narrow, DType::f32};
    EXPECT_TRUE(testing::is_right(GetParam(), inputs));
    inputs.types = {narrow, DType::f32, narrow, DType::f32};
    EXPECT_TRUE(testing::is_right(GetParam(), inputs));
  }
  inputs.types = {DType::f16, DType::f16, DType::f16, DType::f32};
  EXPECT_TRUE(testing::is_right(GetParam(), inputs));
}

// Strides: a transposed tensor, every second element, backwards, broadcast.
TEST_P(ForwardDType, AnyStrides) {
  const Shape shape{.q_len = 23, .kv_len = 41, .head_dim = 15, .value_dim = 18};
  for (const Types& types : {kBF16, kF16}) {
    const Inputs plain(shape);
    for (const int variant : {0, 1, 2, 3}) {
      Inputs inputs = plain;
      std::vector<float> spread[3];
      TensorView* tensors[] = {&inputs.query, &inputs.key, &inputs.value};
      for (int t = 0; t < 3; ++t) {
        TensorView& tensor = *tensors[t];
        const int64_t length = tensor.size(2), width = tensor.size(3);
        const auto* from = static_cast<const float*>(tensor.data);
        spread[t].assign(static_cast<std::size_t>(2 * length * width), kNan);
        const Dims strides =
            variant == 0 ? Dims{0, 0, 1, length} : Dims{0, 0, 2 * width, variant == 1 ? 2 : 1};
        for (int64_t i = 0; i < length; ++i) {
          for (int64_t e = 0; e < width; ++e) {
            spread[t][static_cast<std::size_t>(i * strides[2] + e * strides[3])] =
                from[i * width + e];
          }
        }
        tensor = view(spread[t].data(), tensor.sizes, strides);
        if (variant == 2) {
          tensor.data = spread[t].data() + (length - 1) * strides[2];
          tensor.strides[2] = -strides[2];
        }
        if (variant == 3 && t != 0) tensor.strides[2] = 0;
      }
      EXPECT_TRUE(is_right(GetParam(), inputs, types)) << variant;
    }
  }
}

// Blocks of an odd number of keys begin and end within pairs.
TEST_P(ForwardDType, MasksWithOddBlocks) {
  const Shape shape{
      .q_len = 50, .kv_len = 87, .head_dim = 16, .batch = 2, .q_heads = 2, .kv_heads = 1};
  const Program mods[] = {
      mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; }),
      mask_mod([](auto, auto h, auto q, auto kv) { return (q * 7 + kv + h) % 3 != 0 || kv > 60; }),
      mask_mod([](auto, auto, auto q, auto kv) { return q % 3 == 0 && kv < 50; })};
  for (const Types& types : {kBF16, kF16}) {
    for (const Program& mod : mods) {
      for (const BlockSize size : {BlockSize{32, 16}, BlockSize{7, 5}, BlockSize{1, 1}}) {
        Inputs inputs(shape);
        inputs.options.block_mask = create_block_mask(
            mod, {.q_len = 50, .kv_len = 87, .batch = 2, .heads = 2, .block_size = size});
        EXPECT_TRUE(is_right(GetParam(), inputs, types)) << "block " << size.kv;
        inputs.options.score_mod =
            score_mod([](auto s, auto, auto, auto, auto) { return 2.0f * tanh(s / 2.0f); });
        EXPECT_TRUE(is_right(GetParam(), inputs, types)) << "block " << size.kv;
      }
    }
  }
}

TEST_P(ForwardDType, RowsWithoutKeys) {
  Inputs inputs({.q_len = 30, .kv_len = 64, .head_dim = 8});
  inputs.options.block_mask =
      create_block_mask(mask_mod([](auto, auto, auto q, auto kv) { return q >= 20 && kv < q; }),
                        {.q_len = 30, .kv_len = 64, .block_size = {16, 16}});
  for (const Types& types : {kBF16, kF16}) {
    inputs.types = types;
    const Result got = run_kernels(GetParam(), inputs);
    for (std::size_t row = 0; row < 20; ++row) {
      EXPECT_EQ(got.lse[row], -kInf);
      for (std::size_t e = 0; e < 8; ++e) EXPECT_EQ(got.out[row * 8 + e], 0.0f);
    }
    EXPECT_TRUE(is_near(got, run_reference(inputs), tolerance_of(types)));
  }
}

TEST_P(ForwardDType, NothingLeaksFromBehindTheMask) {
  const Shape shape{.q_len = 40, .kv_len = 150, .head_dim = 16, .value_dim = 20};
  const Program mod =
      mask_mod([](auto, auto, auto q, auto kv) { return kv <= q * 3 && kv % 5 != 2; });
  for (const Types& types : {kBF16, kF16}) {
    for (const float poison : {kNan, kInf, -kInf}) {
      Inputs inputs(shape);
      for (std::size_t key = 2; key < 150; key += 5) {
        std::fill_n(inputs.key_data.begin() + static_cast<std::ptrdiff_t>(key * 16), 16, poison);
        std::fill_n(inputs.value_data.begin() + static_cast<std::ptrdiff_t>(key * 20), 20, poison);
      }
      inputs.options.block_mask =
          create_block_mask(mod, {.q_len = 40, .kv_len = 150, .block_size = {32, 9}});
      inputs.types = types;
      const Result got = run_kernels(GetParam(), inputs);
      for (const float x : got.out) ASSERT_TRUE(std::isfinite(x)) << poison;
      EXPECT_TRUE(is_near(got, run_reference(inputs), tolerance_of(types))) << poison;
    }
  }
}

TEST_P(ForwardDType, VisibleNanAndInfinityDoAsInTheReference) {
  for (const Types& types : {kBF16, kF16}) {
    for (const float poison : {kNan, kInf, -kInf}) {
      for (std::vector<float> Inputs::* data :
           {&Inputs::query_data, &Inputs::key_data, &Inputs::value_data}) {
        Inputs inputs({.q_len = 30, .kv_len = 30, .head_dim = 16});
        (inputs.*data)[13 * 16 + 3] = poison;
        inputs.options.block_mask =
            create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                              {.q_len = 30, .kv_len = 30, .block_size = {8, 8}});
        EXPECT_TRUE(is_right(GetParam(), inputs, types)) << poison;
      }
    }
  }
}

TEST_P(ForwardDType, SameBitsForAnyNumberOfThreads) {
  for (const Types& types :
       {kBF16, kF16, Types{DType::f32, DType::bf16, DType::bf16, DType::f32}}) {
    for (const Shape& shape : {Shape{.q_len = 64, .kv_len = 64},
                               Shape{.q_len = 333, .kv_len = 517, .q_heads = 6, .kv_heads = 2}}) {
      Inputs inputs(shape);
      inputs.types = types;
      const Result expected = run_kernels(GetParam(), inputs, 1);
      for (const int threads : {2, 3, 7}) {
        EXPECT_TRUE(run_kernels(GetParam(), inputs, threads) == expected)
            << threads << " threads, " << to_string(shape);
      }
    }
  }
}

// ---- as exact as a dense computation -------------------------------------------------------------

float rounded(float x, DType dtype) {
  return dtype == DType::bf16 ? static_cast<float>(BFloat16(x)) : static_cast<float>(Float16(x));
}

// As a library without fused attention computes it: two matrix products whose results, and the softmax between
// them, are stored in the dtype; sums in f32.
std::vector<float> dense(const Inputs& in, DType dtype) {
  const auto q_len = static_cast<std::size_t>(in.shape.q_len);
  const auto kv_len = static_cast<std::size_t>(in.shape.kv_len);
  const auto dim = static_cast<std::size_t>(in.shape.head_dim);
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::vector<float> out(q_len * dim), row(kv_len);
  for (std::size_t i = 0; i < q_len; ++i) {
    float largest = -kInf, total = 0;
    for (std::size_t j = 0; j < kv_len; ++j) {
      float sum = 0;
      for (std::size_t e = 0; e < dim; ++e) {
        sum +=
            rounded(in.query_data[i * dim + e], dtype) * rounded(in.key_data[j * dim + e], dtype);
      }
      row[j] = rounded(rounded(sum, dtype) * scale, dtype);
      largest = std::max(largest, row[j]);
    }
    for (float& x : row) total += x = std::exp(x - largest);
    for (float& x : row) x = rounded(x / total, dtype);
    for (std::size_t e = 0; e < dim; ++e) {
      float sum = 0;
      for (std::size_t j = 0; j < kv_len; ++j) {
        sum += row[j] * rounded(in.value_data[j * dim + e], dtype);
      }
      out[i * dim + e] = rounded(sum, dtype);
    }
  }
  return out;
}

struct Error {
  double largest = 0, mean_square = 0;
};
Error error_of(const std::vector<float>& got, const std::vector<float>& exact) {
  Error error;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(static_cast<double>(got[i]) - static_cast<double>(exact[i]));
    error.largest = std::max(error.largest, d);
    error.mean_square += d * d / static_cast<double>(got.size());
  }
  return error;
}

TEST_P(ForwardDType, AtMostTwiceTheErrorOfADenseComputation) {
  for (const Types& types : {kBF16, kF16}) {
    for (const Shape& shape : {Shape{.q_len = 60, .kv_len = 60}, Shape{.q_len = 60, .kv_len = 700},
                               Shape{.q_len = 40, .kv_len = 700, .head_dim = 128}}) {
      Inputs inputs(shape);
      inputs.types = types;
      const Result exact = run_reference(inputs);
      const Error ours = error_of(run_kernels(GetParam(), inputs).out, exact.out);
      const Error theirs = error_of(dense(inputs, types.query), exact.out);
      EXPECT_LE(ours.largest, 2 * theirs.largest) << to_string(shape);
      EXPECT_LE(ours.mean_square, 4 * theirs.mean_square) << to_string(shape);
      RecordProperty("ours over dense", std::to_string(ours.largest / theirs.largest));
    }
  }
}

}  // namespace
}  // namespace fovea::cpu::testing
