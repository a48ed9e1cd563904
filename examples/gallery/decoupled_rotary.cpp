// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void decoupled_rotary(VariantMaker& make) {
  constexpr int64_t kDim = 16;
  const int64_t length = make.length(), heads = make.heads();
  const auto& queries = make.normal(29, heads * length * kDim);
  const auto& keys = make.normal(31, length * kDim);
  make.describe(
      "Latent attention: the rotary part of queries and keys is added as a product of its own.",
      "score + 0.25 * dot(q_rotary[h][q], k_rotary[kv])",
      "DeepSeek-AI, 2024 (multi-head latent attention)");
  const Capture q_rotary = table(queries, {heads, length, kDim});
  const Capture k_rotary = table(keys, {length, kDim});
  make.score([=](auto score, auto, auto h, auto q,
                 auto kv) { return score + 0.25 * dot(q_rotary.row(h, q), k_rotary.row(kv)); },
             [&queries, &keys, length](float score, const Row& row, int64_t kv) {
               double sum = 0;
               for (int64_t d = 0; d < kDim; ++d) {
                 sum += double{at(queries, (row.h * length + row.q) * kDim + d)} *
                        double{at(keys, kv * kDim + d)};
               }
               return score + static_cast<float>(0.25 * sum);
             });
}

}  // namespace fovea::gallery
