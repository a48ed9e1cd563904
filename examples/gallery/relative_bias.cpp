// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void relative_bias(VariantMaker& make) {
  const int64_t length = make.length();
  const auto& weights = make.normal(11, make.heads() * (2 * length - 1));
  make.describe("A learned bias for each head and each relative position.",
                "score + bias[h][q - kv + L - 1]", "Shaw et al., 2018; Huang et al., 2020");
  const Capture bias = table(weights, {make.heads(), 2 * length - 1});
  make.score([=](auto score, auto, auto h, auto q,
                 auto kv) { return score + bias(h, q - kv + (length - 1)); },
             [&weights, length](float score, const Row& row, int64_t kv) {
               return score + at(weights, row.h * (2 * length - 1) + row.q - kv + length - 1);
             });
}

}  // namespace fovea::gallery
