// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "unit/cpu/sequence_cases.h"

/// Keys and values in pages: the same as behind each other, bit by bit.
namespace fovea::cpu::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class ForwardPages : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, ForwardPages, ::testing::ValuesIn(all_kernels()), name_of_kernels);

/// How a cache lies in memory; in each, the view is (pages, heads, page size, dim).
enum class Cache : uint8_t {
  heads_first,    // [pages, heads, page size, dim]
  tokens_first,   // [pages, page size, heads, dim], as vLLM has it
  columns_apart,  // [pages, heads, dim, page size]
};

struct Pages {
  std::vector<float> data;
  TensorView tensor;
};

// Pages of a tensor (batch, heads, length, dim); what no key needs is NaN.
Pages paged(const TensorView& from, int64_t page_size, const std::vector<int64_t>& lengths,
            const std::vector<int64_t>& table, int64_t count, Cache cache) {
  const int64_t heads = from.size(1), dim = from.size(3);
  const int64_t width = static_cast<int64_t>(table.size()) / from.size(0);
  Pages pages;
  pages.data.assign(static_cast<std::size_t>(count * heads * page_size * dim), kNan);
  Dims strides{heads * page_size * dim, page_size * dim, dim, 1};
  if (cache == Cache::tokens_first) strides = {heads * page_size * dim, dim, heads * dim, 1};
  if (cache == Cache::columns_apart)
    strides = {heads * page_size * dim, page_size * dim, 1, page_size};
  pages.tensor = view(pages.data.data(), {count, heads, page_size, dim}, strides);
  for (int64_t b = 0; b < from.size(0); ++b) {
    for (int64_t kv = 0; kv < lengths[static_cast<std::size_t>(b)]; ++kv) {
      const int64_t page = table[static_cast<std::size_t>(b * width + kv / page_size)];
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t d = 0; d < dim; ++d) {
          pages.data[static_cast<std::size_t>(page * strides[0] + h * strides[1] +
                                              kv % page_size * strides[2] + d * strides[3])] =
              static_cast<const float*>(from.data)[b * from.stride(0) + h * from.stride(1) +
                                                   kv * from.stride(2) + d * from.stride(3)];
        }
      }
    }
  }
  return pages;
}

// Scattered over all pages; entries that are not needed name none.
std::vector<int64_t> scattered(const std::vector<int64_t>& lengths, int64_t page_size,
                               int64_t width, int64_t count) {
  std::vector<int64_t> table;
  int64_t next = 0;
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < width; ++i) {
      table.push_back(i * page_size < length ? next++ * 7 % count : -1);
    }
  }
  return table;
}

TEST_P(ForwardPages, SameBitsAsWithoutPages) {
  const Shape shape{.q_len = 20,
                    .kv_len = 300,
                    .head_dim = 20,
                    .value_dim = 33,
                    .batch = 4,
                    .q_heads = 4,
                    .kv_heads = 2};
  const std::vector<int64_t> lengths{300, 0, 1, 129};
  Inputs inputs(shape);
  inputs.options.kv_lens = view(lengths.data(), {4});
  inputs.options.score_mod = score_mod([](auto s, auto b, auto, auto q, auto kv) {
    return s - 0.02f * (b + 1) * abs(q + 100 - kv);
  });
  inputs.options.block_mask =
      create_block_mask([](auto, auto, auto, auto kv) { return kv % 100 < 90; },
                        {.q_len = 20, .kv_len = 300, .block_size = {20, 30}});
  const Result expected = run_kernels(GetParam(), inputs);
  EXPECT_TRUE(is_near(expected, run_reference(inputs)));

  for (const int64_t size : {1, 3, 16, 64, 500}) {
    const int64_t width = (300 + size - 1) / size + 2, count = 4 * width * 7 + 1;
    const std::vector<int64_t> table = scattered(lengths, size, width, count);
    const std::vector<int32_t> narrow(table.begin(), table.end());
    for (const Cache cache : {Cache::heads_first, Cache::tokens_first, Cache::columns_apart}) {
      const Pages key = paged(inputs.key, size, lengths, table, count, cache);
      const Pages value = paged(inputs.value, size, lengths, table, count, cache);
      Inputs call(shape);
      call.query = inputs.query;
      call.options = inputs.options;
      call.key = key.tensor;
      call.value = value.tensor;
      for (const bool wide : {false, true}) {
        call.options.page_table =
            wide ? view(table.data(), {4, width}) : view(narrow.data(), {4, width}, {width, 1});
        EXPECT_TRUE(run_kernels(GetParam(), call, 2) == expected)
            << "pages of " << size << ", cache " << static_cast<int>(cache);
      }
    }
  }
}

// A cache that is shared: the same pages begin two sequences. All of the last page is in use.
TEST_P(ForwardPages, SequencesMayShareAPage) {
  const Shape shape{.q_len = 5, .kv_len = 48, .head_dim = 8, .batch = 2};
  const std::vector<int64_t> lengths{48, 48}, table{2, 0, 1, 2, 0, 3};
  Inputs inputs(shape);
  std::copy_n(inputs.key_data.begin(), 32 * 8, inputs.key_data.begin() + 48 * 8);
  std::copy_n(inputs.value_data.begin(), 32 * 8, inputs.value_data.begin() + 48 * 8);
  const Result expected = run_kernels(GetParam(), inputs);
  const Pages key = paged(inputs.key, 16, lengths, table, 4, Cache::heads_first);
  const Pages value = paged(inputs.value, 16, lengths, table, 4, Cache::heads_first);
  inputs.key = key.tensor;
  inputs.value = value.tensor;
  // By columns, as if transposed.
  const std::vector<int64_t> transposed{2, 2, 0, 0, 1, 3};
  inputs.options.page_table = view(transposed.data(), {2, 3}, {1, 2});
  EXPECT_TRUE(run_kernels(GetParam(), inputs) == expected);
  EXPECT_TRUE(is_near(expected, run_reference(inputs)));
}

// As in a server that prefills and decodes in one batch.
TEST_P(ForwardPages, JaggedQueries) {
  Jagged jagged({{17, 1, 0, 40}, {60, 33, 5, 40}}, {.head_dim = 16, .q_heads = 4, .kv_heads = 2});
  const Result expected = run_kernels(GetParam(), jagged.inputs);
  const std::vector<int64_t> lengths{60, 33, 5, 40};
  const std::vector<int64_t> table = scattered(lengths, 16, 4, 50);
  // The keys of the sequences, as a padded batch.
  Inputs padded({.q_len = 1, .kv_len = 60, .head_dim = 16, .batch = 4, .kv_heads = 2});
  for (int64_t b = 0; b < 4; ++b) {
    const Inputs alone = jagged.alone(b);
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < alone.shape.kv_len * 16; ++i) {
        const auto to = static_cast<std::size_t>((b * 2 + h) * 60 * 16 + i);
        const int64_t from = h * alone.key.stride(1) + i;
        padded.key_data[to] = static_cast<const float*>(alone.key.data)[from];
        padded.value_data[to] = static_cast<const float*>(alone.value.data)[from];
      }
    }
  }
  const Pages key = paged(padded.key, 16, lengths, table, 50, Cache::tokens_first);
  const Pages value = paged(padded.value, 16, lengths, table, 50, Cache::tokens_first);
  Inputs& inputs = jagged.inputs;
  inputs.key = key.tensor;
  inputs.value = value.tensor;
  inputs.options.cu_seqlens_kv.reset();
  inputs.options.page_table = view(table.data(), {4, 4});
  inputs.options.kv_lens = view(lengths.data(), {4});
  for (const int threads : {1, 3}) {
    EXPECT_TRUE(run_kernels(GetParam(), inputs, threads) == expected);
  }
  EXPECT_TRUE(is_near(expected, run_reference(inputs)));
}

}  // namespace
}  // namespace fovea::cpu::testing
