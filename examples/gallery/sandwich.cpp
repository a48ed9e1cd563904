// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "variant.h"

namespace fovea::gallery {

void sandwich(VariantMaker& make) {
  const int64_t length = make.length();
  constexpr int kHalf = 64;  // of the 128 dimensions that the paper sums over
  std::vector<float> values;
  for (int64_t d = 0; d < 2 * length - 1; ++d) {
    double sum = 0;
    const double distance = std::abs(static_cast<double>(d - (length - 1)));
    for (int i = 0; i < kHalf; ++i)
      sum += std::cos(distance * std::pow(10000.0, -i / double{kHalf}));
    values.push_back(static_cast<float>(sum));
  }
  const auto& sums = make.keep(std::move(values));
  const int64_t heads = make.heads();
  make.describe("The product of two sinusoidal embeddings as a bias, weaker with each head.",
                "score + T[q - kv + L - 1] * H / (8 (h + 1)), T[d] = sum of cos(d / 10000^(i/64))",
                "Chi et al., 2023 (Sandwich)");
  const Capture by_distance = table(sums);
  make.score(
      [=](auto score, auto, auto h, auto q, auto kv) {
        return score +
               by_distance[q - kv + (length - 1)] * (static_cast<double>(heads) / 8.0) / (h + 1);
      },
      [&sums, length, heads](float score, const Row& row, int64_t kv) {
        const auto factor = static_cast<float>(heads) / (8 * static_cast<float>(row.h + 1));
        return score + at(sums, row.q - kv + length - 1) * factor;
      });
}

}  // namespace fovea::gallery
