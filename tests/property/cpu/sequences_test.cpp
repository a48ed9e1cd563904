// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "random_cases.h"
#include "unit/cpu/sequence_cases.h"

/// Random lengths, head counts, masks, pages and numbers of threads: each sequence as if it were alone.
/// FOVEA_TEST_SEED repeats a run.
namespace fovea::cpu::testing {
namespace {

constexpr int kCases = 40;

using test::Draw;

const Variant kVariants[] = {
    {.name = "plain"},
    {.name = "by batch",
     .score_mod =
         [](int64_t b0) {
           return score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
             return s * (1 + (b + b0) % 3) - 0.02f * h * abs(q - kv);
           });
         }},
    {.name = "causal",
     .mask_mod =
         [](int64_t) { return mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; }); }},
    {.name = "blocks by batch",
     .mask_mod =
         [](int64_t b0) {
           return mask_mod([=](auto b, auto h, auto q, auto kv) {
             return (q / 20 + kv / 30 + b + b0 + h) % 3 != 0;
           });
         }},
    {.name = "from the end", .causal = Causal::lower_right},
};

class SequencesProperty : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, SequencesProperty, ::testing::ValuesIn(all_kernels()),
                         name_of_kernels);

Lengths random_lengths(Draw& draw) {
  Lengths lengths;
  const auto length = [&] { return draw.chance(4) ? draw.between(0, 2) : draw.between(0, 140); };
  const int64_t count = draw.between(1, 9);
  for (int64_t i = 0; i < count; ++i) {
    lengths.q.push_back(length());
    lengths.kv.push_back(draw.chance(2) ? lengths.q.back() : length());
  }
  return lengths;
}

// The keys of a jagged batch, moved to pages in a random place each, as [pages, page size, heads, dim].
struct Cache {
  Cache(const Jagged& jagged, int64_t page_size, Draw& draw) {
    const Shape& s = jagged.inputs.shape;
    for (int64_t b = 0; b < jagged.size(); ++b) {
      lengths.push_back(jagged.kv_ends[static_cast<std::size_t>(b) + 1] -
                        jagged.kv_ends[static_cast<std::size_t>(b)]);
      width = std::max(width, (lengths.back() + page_size - 1) / page_size);
    }
    const int64_t count = jagged.size() * width + 1, shift = draw.between(0, count);
    for (int64_t i = 0; i < jagged.size() * width; ++i) {
      const bool used = i % width * page_size < lengths[static_cast<std::size_t>(i / width)];
      table.push_back(used ? (count - i + shift) % count : -1);
    }
    key = fill(keys, jagged.inputs.key, jagged.kv_ends, {count, s.kv_heads, page_size, s.head_dim});
    value = fill(values, jagged.inputs.value, jagged.kv_ends,
                 {count, s.kv_heads, page_size, jagged.inputs.value_dim()});
  }

  TensorView fill(std::vector<float>& data, const TensorView& from,
                  const std::vector<int64_t>& ends, const Dims& sizes) const {
    data.assign(static_cast<std::size_t>(sizes[0] * sizes[1] * sizes[2] * sizes[3]), NAN);
    const TensorView to = view(data.data(), sizes,
                               {sizes[1] * sizes[2] * sizes[3], sizes[3], sizes[1] * sizes[3], 1});
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      for (int64_t kv = 0; kv < lengths[b]; ++kv) {
        const int64_t page =
            table[b * static_cast<std::size_t>(width) + static_cast<std::size_t>(kv / sizes[2])];
        for (int64_t h = 0; h < sizes[1]; ++h) {
          const float* row = static_cast<const float*>(from.data) + h * from.stride(1) +
                             (ends[b] + kv) * from.stride(2);
          std::copy_n(
              row, sizes[3],
              data.data() + page * to.stride(0) + h * to.stride(1) + kv % sizes[2] * to.stride(2));
        }
      }
    }
    return to;
  }

  std::vector<int64_t> lengths, table;
  int64_t width = 0;
  std::vector<float> keys, values;
  TensorView key, value;
};

TEST_P(SequencesProperty, EachSequenceAsIfItWereAlone) {
  const uint64_t first = test::number_from("FOVEA_TEST_SEED", 20250309);
  RecordProperty("seed", std::to_string(first));
  for (uint64_t seed = first; seed < first + kCases; ++seed) {
    Draw draw(seed);
    Shape dims;
    dims.kv_heads = draw.between(1, 2);
    dims.q_heads = dims.kv_heads * draw.between(1, 3);
    dims.head_dim = draw.between(1, 40);
    dims.value_dim = draw.between(1, 50);
    Jagged jagged(random_lengths(draw), dims, seed);
    const Variant& variant = kVariants[draw.between(0, 4)];
    jagged.use(variant, {draw.between(1, 140), draw.between(1, 140)});
    const std::string where = "FOVEA_TEST_SEED=" + std::to_string(seed) + ", " + variant.name +
                              ", " + to_string(jagged.inputs.shape);

    const Result all = run_kernels(GetParam(), jagged.inputs, 1);
    const int threads = 2 + static_cast<int>(seed % 6);
    ASSERT_TRUE(run_kernels(GetParam(), jagged.inputs, threads) == all) << threads << ", " << where;
    for (int64_t b = 0; b < jagged.size(); ++b) {
      ASSERT_TRUE(is_near(jagged.rows_of(all, b), run_reference(jagged.alone(b)), 2e-5))
          << "sequence " << b << ", " << where;
    }

    const int64_t page_size = draw.between(1, 40);
    const Cache cache(jagged, page_size, draw);
    Inputs& inputs = jagged.inputs;
    inputs.key = cache.key;
    inputs.value = cache.value;
    inputs.options.cu_seqlens_kv.reset();
    inputs.options.kv_lens = view(cache.lengths.data(), {jagged.size()});
    inputs.options.page_table = view(cache.table.data(), {jagged.size(), cache.width});
    ASSERT_TRUE(run_kernels(GetParam(), inputs, threads) == all)
        << "pages of " << page_size << ", " << where;
  }
}

}  // namespace
}  // namespace fovea::cpu::testing
