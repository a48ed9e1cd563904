// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "variant.h"

namespace fovea::gallery {

void gates(VariantMaker& make) {
  const int64_t length = make.length();
  const auto& rows = make.normal(19, make.heads() * length);
  const auto& columns = make.normal(23, length);
  make.describe("Learned gates: one by head and query on the score, one by key as a bias.",
                "score * sigmoid(gate[h][q]) + log(sigmoid(forget[kv]))",
                "Lin et al., 2025 (forgetting transformer, simplified)");
  const Capture gate = table(rows, {make.heads(), length}), forget = table(columns);
  make.score([=](auto score, auto, auto h, auto q,
                 auto kv) { return score * sigmoid(gate(h, q)) + log(sigmoid(forget[kv])); },
             [&rows, &columns, length](float score, const Row& row, int64_t kv) {
               const float opened = 1 / (1 + std::exp(-at(rows, row.h * length + row.q)));
               return score * opened - std::log1p(std::exp(-at(columns, kv)));
             });
}

}  // namespace fovea::gallery
