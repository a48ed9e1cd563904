// SPDX-License-Identifier: Apache-2.0
//
// A paged cache: keys and values in pages of 16 tokens, anywhere; a table says which page is whose.
#include <cmath>
#include <cstdio>
#include <vector>

#include <fovea/fovea.h>

int main() {
  constexpr int64_t kPages = 40, kPageSize = 16, kHeads = 8, kKeyHeads = 2, kDim = 64;
  constexpr int64_t kSequences = 3, kMostPages = 12;
  const auto numbers = [](uint64_t seed, int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = fovea::Random(seed).normal(i);
    return values;
  };
  const auto cache_k = numbers(1, kPages * kPageSize * kKeyHeads * kDim);
  const auto cache_v = numbers(2, kPages * kPageSize * kKeyHeads * kDim);
  const auto queries = numbers(3, kSequences * kHeads * kDim);
  std::vector<float> result(queries.size()), expected(queries.size());

  // The cache as vLLM has it, [pages, page size, heads, dim], seen as (pages, heads, page size, dim).
  const fovea::Dims sizes{kPages, kKeyHeads, kPageSize, kDim};
  const fovea::Dims strides{kPageSize * kKeyHeads * kDim, kDim, kKeyHeads * kDim, 1};
  const auto key = fovea::view(cache_k.data(), sizes, strides);
  const auto value = fovea::view(cache_v.data(), sizes, strides);

  // How many keys each sequence has, and where: what stands behind is never looked at.
  const std::vector<int32_t> lengths{100, 1, 185};
  std::vector<int32_t> table(kSequences * kMostPages, -1);
  for (int32_t b = 0, next = 0; b < kSequences; ++b) {
    for (int32_t i = 0; i * kPageSize < lengths[static_cast<std::size_t>(b)]; ++i) {
      table[static_cast<std::size_t>(b * kMostPages + i)] = (7 * next++ + 3) % kPages;
    }
  }

  // One new token a sequence. Mods see logical positions: the query stands at length - 1.
  const auto query = fovea::view(queries.data(), {kSequences, kHeads, 1, kDim});
  const auto out = fovea::view(result.data(), {kSequences, kHeads, 1, kDim});
  const auto length = fovea::capture(fovea::view(lengths.data(), {kSequences}));
  const auto recent = fovea::score_mod([=](auto score, auto b, auto h, auto, auto kv) {
    return score - (h + 1) * 0.01F * (length[b] - 1 - kv);
  });
  const fovea::FlexOptions options{
      .score_mod = recent,
      .page_table = fovea::view(table.data(), {kSequences, kMostPages}),
      .kv_lens = fovea::view(lengths.data(), {kSequences})};
  fovea::flex_attention(query, key, value, out, options);

  const auto reference = fovea::view(expected.data(), {kSequences, kHeads, 1, kDim});
  fovea::reference_attention(query, key, value, reference, options);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!(std::abs(result[i] - expected[i]) < 1e-5F)) return 1;
  }
  std::printf("decoding from a paged cache agrees with the float64 reference\n");
}
