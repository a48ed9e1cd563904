// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void dense_bias(VariantMaker& make) {
  const int64_t rows = make.shape().q_len, columns = make.shape().kv_len, heads = make.heads();
  make.check_entries(rows * columns);
  const auto& weights = make.normal(13, make.batch() * heads * rows * columns);
  make.describe("A bias for each pair of tokens, each head and each sequence.",
                "score + bias[b][h][q][kv]", "Ying et al., 2021; AlphaFold's pair bias");
  const Capture bias = table(weights, {make.batch(), heads, rows, columns});
  make.score([=](auto score, auto b, auto h, auto q, auto kv) { return score + bias(b, h, q, kv); },
             [&weights, rows, columns, heads](float score, const Row& row, int64_t kv) {
               return score + at(weights, ((row.b * heads + row.h) * rows + row.q) * columns + kv);
             });
}

}  // namespace fovea::gallery
