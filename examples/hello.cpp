// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdio>
#include <vector>

#include <fovea/fovea.h>

int main() {
  constexpr int64_t kHeads = 8, kLength = 1024, kDim = 64;
  std::vector<float> q(kHeads * kLength * kDim), k(q), v(q), out(q), slopes(kHeads);
  for (std::size_t i = 0; i < q.size(); ++i) {
    q[i] = fovea::Random(1).normal(i), k[i] = fovea::Random(2).normal(i),
    v[i] = fovea::Random(3).normal(i);
  }
  for (int h = 0; h < kHeads; ++h)
    slopes[static_cast<std::size_t>(h)] = std::exp2(-1.0F - static_cast<float>(h));

  // The variant: ALiBi inside a window of 256 tokens, as two lambdas.
  auto slope = fovea::capture(fovea::view(slopes.data(), {kHeads}));
  auto alibi = fovea::score_mod([=](auto score, auto, auto h, auto query, auto key) {
    return score + slope[h] * (key - query);
  });
  auto window = fovea::create_block_mask(
      [](auto, auto, auto query, auto key) { return query >= key && query - key < 256; },
      {.q_len = kLength, .kv_len = kLength});

  const fovea::Dims shape{1, kHeads, kLength, kDim};  // batch, heads, length, head_dim
  fovea::flex_attention(fovea::view(q.data(), shape), fovea::view(k.data(), shape),
                        fovea::view(v.data(), shape), fovea::view(out.data(), shape),
                        {.score_mod = alibi, .block_mask = window});
  std::printf("%s\n%sout[0, 0, 1023, :3] = %.4f %.4f %.4f\n", alibi.to_string().c_str(),
              window.to_string().c_str(), out[1023 * kDim], out[1023 * kDim + 1],
              out[1023 * kDim + 2]);
}
