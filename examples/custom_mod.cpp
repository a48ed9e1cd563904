// SPDX-License-Identifier: Apache-2.0
//
// A variant that nobody has a kernel for: documents packed into one sequence, scores that cool down
// with the distance, and two query heads for each key head.
#include <cmath>
#include <cstdio>
#include <vector>

#include <fovea/fovea.h>

int main() {
  constexpr int64_t kHeads = 4, kKeyHeads = 2, kLength = 768, kDim = 48;
  const auto numbers = [](uint64_t seed, int64_t heads) {
    std::vector<float> values(static_cast<std::size_t>(heads * kLength * kDim));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = fovea::Random(seed).normal(i);
    return values;
  };
  const auto queries = numbers(1, kHeads), keys = numbers(2, kKeyHeads),
             values = numbers(3, kKeyHeads);
  std::vector<float> result(queries.size()), expected(queries.size());
  const fovea::Dims sizes{1, kHeads, kLength, kDim}, key_sizes{1, kKeyHeads, kLength, kDim};
  const auto query = fovea::view(queries.data(), sizes), key = fovea::view(keys.data(), key_sizes);
  const auto value = fovea::view(values.data(), key_sizes), out = fovea::view(result.data(), sizes);

  std::vector<int32_t> ids(kLength);  // five documents of different lengths
  for (std::size_t i = 0; i < ids.size(); ++i)
    ids[i] = (i > 90) + (i > 200) + (i > 480) + (i > 700);
  const auto document = fovea::capture(fovea::view(ids.data(), {kLength}));
  // Straight-line code: where(condition, a, b) stands for `if`.
  const auto score = fovea::score_mod([](auto s, auto, auto h, auto q, auto kv) {
    const auto distance = fovea::abs(q - kv);
    return fovea::where(distance < 16, s, s / (1.0 + 0.01 * (h + 1) * distance));
  });
  const auto mask = fovea::create_block_mask(
      [=](auto, auto, auto q, auto kv) { return document[q] == document[kv]; },
      {.q_len = kLength, .kv_len = kLength, .block_size = {64, 64}});
  const fovea::FlexOptions options{.score_mod = score, .block_mask = mask};
  fovea::flex_attention(query, key, value, out, options);

  std::printf("%s\n%s\n", score.to_string().c_str(), mask.to_string().c_str());
  const auto reference = fovea::view(expected.data(), sizes);
  fovea::reference_attention(query, key, value, reference, options);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!(std::abs(result[i] - expected[i]) < 1e-5F)) return 1;
  }
  std::printf("agrees with the float64 reference\n");
}
