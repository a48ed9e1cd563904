// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/dropout.h>
#include "unit/cpu/sequence_cases.h"

/// Decoding with what joins the softmax or follows it, and in jagged batches and pages.
namespace fovea::cpu::testing {
namespace {

class DecodeOptions : public ::testing::TestWithParam<NamedKernels> {
 protected:
  ::testing::AssertionResult right(const Inputs& inputs) const {
    return is_right(GetParam(), inputs, 2, 4e-6, Path::decode);
  }
};
INSTANTIATE_TEST_SUITE_P(Isa, DecodeOptions, ::testing::ValuesIn(all_kernels()), name_of_kernels);

TEST_P(DecodeOptions, SinksAndLargestScores) {
  const std::array<float, 4> sinks{0, 2.5f, -4, 60};
  for (const int64_t kv_len : {0, 1, 129, 1500}) {
    for (const bool with_sinks : {false, true}) {
      Inputs inputs({.q_len = 2, .kv_len = kv_len, .head_dim = 16, .q_heads = 4, .kv_heads = 2});
      inputs.max_scores = true;
      if (with_sinks) inputs.options.sinks = view(sinks.data(), {4});
      EXPECT_TRUE(right(inputs));
      inputs.options.score_mod = score_mod(
          [](auto s, auto, auto, auto q, auto kv) { return s * 2.0f - 0.01f * (q - kv); });
      EXPECT_TRUE(right(inputs));
      inputs.options.block_mask = create_block_mask(
          [](auto, auto h, auto q, auto kv) { return kv < 1000 * h && (q + h) % 2 == 0; },
          {.q_len = 2, .kv_len = kv_len, .heads = 4, .block_size = {1, 32}});
      EXPECT_TRUE(right(inputs));
    }
  }
}

TEST_P(DecodeOptions, WeightMods) {
  static const int64_t seed = 11, offset = 3;
  std::vector<float> gates(1500);
  for (std::size_t i = 0; i < gates.size(); ++i) gates[i] = std::sin(static_cast<float>(i));
  const auto gate = capture(view(gates.data(), {1500}));
  for (const Program& mod :
       {dropout(0.3, view(&seed, Dims{}), view(&offset, Dims{})),
        weight_mod([=](auto w, auto, auto h, auto, auto kv) { return w * (gate[kv] + h); })}) {
    for (const int64_t kv_len : {0, 7, 1100, 1500}) {
      Inputs inputs({.q_len = 2, .kv_len = kv_len, .head_dim = 16, .q_heads = 4, .kv_heads = 2});
      inputs.options.weight_mod = mod;
      EXPECT_TRUE(right(inputs));
      inputs.options.block_mask = create_block_mask(
          [](auto, auto h, auto q, auto kv) { return kv % 100 < 90 || h + q > 2; },
          {.q_len = 2, .kv_len = kv_len, .heads = 4, .block_size = {2, 20}});
      EXPECT_TRUE(right(inputs));
    }
  }
}

const Variant kVariants[] = {
    {.name = "plain"},
    {.name = "alibi by batch",
     .score_mod =
         [](int64_t b0) {
           return score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
             return s - 0.01f * (b + b0 + 1) * (h + 1) * abs(q - kv);
           });
         }},
    {.name = "window from the end",
     .mask_mod =
         [](int64_t) { return mask_mod([](auto, auto, auto q, auto kv) { return q - kv < 300; }); },
     .causal = Causal::lower_right},
};

// As in a server: some sequences are begun, others continued. Each takes its own way.
TEST_P(DecodeOptions, EachSequenceOfABatchAsIfAlone) {
  Jagged jagged({{1, 40, 3, 0, 1, 1, 9}, {1500, 60, 1024, 5, 0, 33, 1100}},
                {.head_dim = 24, .q_heads = 4, .kv_heads = 2});
  for (const Variant& variant : kVariants) {
    jagged.use(variant);
    const Result all = run_kernels(GetParam(), jagged.inputs, 2, Path::chosen);
    for (const int threads : {1, 3, 7}) {
      EXPECT_TRUE(run_kernels(GetParam(), jagged.inputs, threads, Path::chosen) == all);
    }
    for (int64_t b = 0; b < jagged.size(); ++b) {
      const Inputs alone = jagged.alone(b);
      const Result rows = jagged.rows_of(all, b);
      EXPECT_TRUE(is_near(rows, run_reference(alone))) << variant.name << ", sequence " << b;
      if (variant.mask_mod != nullptr) continue;
      EXPECT_TRUE(rows == run_kernels(GetParam(), alone, 1, Path::chosen))
          << variant.name << ", sequence " << b;
    }
  }
}

// Pages of a tensor (batch, heads, length, dim), handed out backwards; [page, page size, heads, dim].
struct Paged {
  Paged(const TensorView& from, int64_t size) {
    const int64_t heads = from.size(1), length = from.size(2), dim = from.size(3);
    const int64_t width = (length + size - 1) / size, count = from.size(0) * width;
    for (int64_t i = count - 1; i >= 0; --i) table.push_back(static_cast<int32_t>(i));
    data.assign(static_cast<std::size_t>(count * size * heads * dim), NAN);
    const auto* elements = static_cast<const float*>(from.data);
    for (int64_t b = 0; b < from.size(0); ++b) {
      for (int64_t kv = 0; kv < length; ++kv) {
        const int64_t page = count - 1 - (b * width + kv / size);
        for (int64_t h = 0; h < heads; ++h) {
          for (int64_t d = 0; d < dim; ++d) {
            data[static_cast<std::size_t>(((page * size + kv % size) * heads + h) * dim + d)] =
                elements[((b * heads + h) * length + kv) * dim + d];
          }
        }
      }
    }
    tensor =
        view(data.data(), {count, heads, size, dim}, {size * heads * dim, dim, heads * dim, 1});
    page_table = view(table.data(), {from.size(0), width});
  }
  std::vector<float> data;
  std::vector<int32_t> table;
  TensorView tensor, page_table;
};

TEST_P(DecodeOptions, SameBitsWithPages) {
  const Shape shape{
      .q_len = 1, .kv_len = 1200, .head_dim = 20, .batch = 2, .q_heads = 4, .kv_heads = 2};
  const std::vector<int64_t> lengths{1200, 777};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Inputs plain(shape);
    plain.types = {dtype, dtype, dtype, dtype};
    plain.options.kv_lens = view(lengths.data(), {2});
    plain.options.score_mod =
        score_mod([](auto s, auto b, auto, auto, auto kv) { return s - 0.001f * (b + 1) * kv; });
    const Result expected = run_kernels(GetParam(), plain, 1, Path::decode);
    EXPECT_TRUE(is_near(expected, run_reference(plain), dtype == DType::f32 ? 4e-6 : 0x1p-8));
    for (const int64_t size : {1, 16, 37, 2000}) {
      const Paged key(plain.key, size), value(plain.value, size);
      Inputs inputs = plain;
      inputs.key = key.tensor;
      inputs.value = value.tensor;
      inputs.options.page_table = key.page_table;
      EXPECT_TRUE(run_kernels(GetParam(), inputs, 2, Path::decode) == expected) << size;
    }
  }
}

}  // namespace
}  // namespace fovea::cpu::testing
