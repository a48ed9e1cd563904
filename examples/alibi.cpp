// SPDX-License-Identifier: Apache-2.0
//
// ALiBi: a score_mod that reads a tensor of yours, one slope for each head.
#include <cmath>
#include <cstdio>
#include <vector>

#include <fovea/fovea.h>

int main() {
  constexpr int64_t kHeads = 4, kLength = 600, kDim = 64;
  const fovea::Dims sizes{1, kHeads, kLength, kDim};
  const auto numbers = [](uint64_t seed) {
    std::vector<float> values(kHeads * kLength * kDim);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = fovea::Random(seed).normal(i);
    return values;
  };
  const auto queries = numbers(1), keys = numbers(2), values = numbers(3);
  std::vector<float> result(queries.size()), expected(queries.size());
  const auto query = fovea::view(queries.data(), sizes), key = fovea::view(keys.data(), sizes);
  const auto value = fovea::view(values.data(), sizes), out = fovea::view(result.data(), sizes);

  // The captured tensor is a view: the memory must live as long as the program is used.
  const std::vector<float> slopes{0.25F, 0.0625F, 0.015625F, 0.00390625F};
  const auto slope = fovea::capture(fovea::view(slopes.data(), {kHeads}));
  const auto alibi = fovea::score_mod(
      [=](auto score, auto, auto h, auto q, auto kv) { return score + slope[h] * (kv - q); });
  const auto causal = fovea::create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                               {.q_len = kLength, .kv_len = kLength});
  const fovea::FlexOptions options{.score_mod = alibi, .block_mask = causal};
  fovea::flex_attention(query, key, value, out, options);

  std::printf("%s\n", fovea::explain(query, key, value, out, options).c_str());
  const auto reference = fovea::view(expected.data(), sizes);
  fovea::reference_attention(query, key, value, reference, options);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!(std::abs(result[i] - expected[i]) < 1e-5F)) return 1;
  }
  std::printf("agrees with the float64 reference\n");
}
