// SPDX-License-Identifier: Apache-2.0
//
// Causal attention: the mask is a lambda, and blocks above the diagonal are never touched.
#include <cmath>
#include <cstdio>
#include <vector>

#include <fovea/fovea.h>

int main() {
  constexpr int64_t kHeads = 2, kLength = 1000, kDim = 32;
  const fovea::Dims sizes{1, kHeads, kLength, kDim};  // batch, heads, length, head_dim
  const auto numbers = [](uint64_t seed) {
    std::vector<float> values(kHeads * kLength * kDim);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = fovea::Random(seed).normal(i);
    return values;
  };
  const auto queries = numbers(1), keys = numbers(2), values = numbers(3);
  std::vector<float> result(queries.size()), expected(queries.size());
  const auto query = fovea::view(queries.data(), sizes), key = fovea::view(keys.data(), sizes);
  const auto value = fovea::view(values.data(), sizes), out = fovea::view(result.data(), sizes);

  const auto mask = fovea::create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                             {.q_len = kLength, .kv_len = kLength});
  fovea::flex_attention(query, key, value, out, {.block_mask = mask});

  std::printf("%s\n%.1f %% of the blocks are skipped\n", mask.to_string().c_str(), mask.sparsity());
  const auto reference = fovea::view(expected.data(), sizes);
  fovea::reference_attention(query, key, value, reference, {.block_mask = mask});
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!(std::abs(result[i] - expected[i]) < 1e-5F)) return 1;
  }
  std::printf("agrees with the float64 reference\n");
}
