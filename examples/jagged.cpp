// SPDX-License-Identifier: Apache-2.0
//
// A jagged batch: sequences of different lengths behind each other, without padding.
#include <cmath>
#include <cstdio>
#include <vector>

#include <fovea/fovea.h>

int main() {
  constexpr int64_t kHeads = 4, kDim = 32;
  const std::vector<int32_t> ends{0, 300, 300, 317, 1000};  // four sequences, one of them empty
  const int64_t total = ends.back();
  const auto numbers = [&](uint64_t seed) {
    std::vector<float> values(static_cast<std::size_t>(kHeads * total * kDim));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = fovea::Random(seed).normal(i);
    return values;
  };
  const auto queries = numbers(1), keys = numbers(2), values = numbers(3);
  std::vector<float> result(queries.size()), alone(queries.size());

  // Tokens first in memory, [total, heads, dim]: a view of batch 1, with its strides.
  const fovea::Dims sizes{1, kHeads, total, kDim}, strides{0, kDim, kHeads * kDim, 1};
  const auto query = fovea::view(queries.data(), sizes, strides);
  const auto key = fovea::view(keys.data(), sizes, strides);
  const auto value = fovea::view(values.data(), sizes, strides);
  const auto out = fovea::view(result.data(), sizes, strides);

  // b is the sequence; q and kv count from its first token. The mask is made once, for the longest.
  const auto causal = fovea::create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                               {.q_len = 683, .kv_len = 683});
  const auto cu_seqlens = fovea::view(ends.data(), {5});
  fovea::flex_attention(
      query, key, value, out,
      {.block_mask = causal, .cu_seqlens_q = cu_seqlens, .cu_seqlens_kv = cu_seqlens});

  // The same, one call a sequence.
  for (std::size_t b = 0; b + 1 < ends.size(); ++b) {
    const int64_t first = ends[b], length = ends[b + 1] - first;
    const auto part = [&](auto& data) {
      return fovea::view(data.data() + first * kHeads * kDim, {1, kHeads, length, kDim}, strides);
    };
    fovea::flex_attention(part(queries), part(keys), part(values), part(alone),
                          {.block_mask = causal.adjusted(length, length)});
  }
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!(std::abs(result[i] - alone[i]) < 1e-5F)) return 1;
  }
  std::printf("a jagged batch agrees with one call for each sequence\n");
}
