// SPDX-License-Identifier: Apache-2.0
//
// Gradients: a bias by distance, captured by a score_mod, is learned from what attention gave with it.
#include <cmath>
#include <cstdio>
#include <vector>

#include <fovea/fovea.h>

int main() {
  constexpr int64_t kHeads = 2, kLength = 200, kDim = 16, kBuckets = 8;
  const auto numbers = [](uint64_t seed, int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = fovea::Random(seed).normal(i);
    return values;
  };
  const fovea::Dims sizes{1, kHeads, kLength, kDim};
  constexpr int64_t kCount = kHeads * kLength * kDim;
  const auto queries = numbers(1, kCount), keys = numbers(2, kCount), values = numbers(3, kCount);
  const auto query = fovea::view(queries.data(), sizes), key = fovea::view(keys.data(), sizes),
             value = fovea::view(values.data(), sizes);
  std::vector<float> results(queries.size()), lse(kHeads * kLength), dresults(queries.size());
  const auto out = fovea::view(results.data(), sizes);

  // The program reads `bias` whenever it runs, so that a step only changes the numbers in it.
  std::vector<float> bias = numbers(4, kHeads * kBuckets);
  const auto table = fovea::capture(fovea::view(bias.data(), {kHeads, kBuckets}));
  const auto mod = fovea::score_mod([=](auto score, auto, auto h, auto q, auto kv) {
    return score + table[h][min(q - kv, kBuckets - 1)];
  });
  const auto causal = fovea::create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                               {.q_len = kLength, .kv_len = kLength});
  const fovea::FlexOptions options{
      .score_mod = mod, .block_mask = causal, .lse = fovea::view(lse.data(), {1, kHeads, kLength})};

  fovea::flex_attention(query, key, value, out, options);
  const std::vector<float> target = results, truth = bias;

  std::vector<float> dbias(bias.size());
  const fovea::BackwardInputs saved{
      .out = out, .lse = *options.lse, .dout = fovea::view(dresults.data(), sizes)};
  const fovea::FlexGradients wanted{
      .score_captures = {fovea::view(dbias.data(), {kHeads, kBuckets})}};

  bias.assign(bias.size(), 0.0F);
  for (int step = 0; step <= 200; ++step) {
    fovea::flex_attention(query, key, value, out, options);
    double loss = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
      dresults[i] = results[i] - target[i];
      loss += 0.5 * dresults[i] * dresults[i];
    }
    if (step % 50 == 0) std::printf("step %3d: loss %.5f\n", step, loss);
    fovea::flex_attention_backward(query, key, value, saved, wanted, options);
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] -= 0.05F * dbias[i];
  }
  // A bias that is the same everywhere changes nothing, so differences are compared.
  for (std::size_t i = 0; i < bias.size(); ++i) {
    const std::size_t first = i / kBuckets * kBuckets;
    if (!(std::abs((bias[i] - bias[first]) - (truth[i] - truth[first])) < 0.02F)) return 1;
  }
  std::printf("the bias is found again\n");
}
