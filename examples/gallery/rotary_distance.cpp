// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "variant.h"

namespace fovea::gallery {

void rotary_distance(VariantMaker& make) {
  const double base = make.number("base", 10000);
  std::vector<float> values;
  for (int64_t h = 0; h < make.heads(); ++h) {
    const double exponent = static_cast<double>(h) / static_cast<double>(make.heads());
    values.push_back(static_cast<float>(std::pow(base, -exponent)));
  }
  const auto& frequencies = make.keep(std::move(values));
  make.describe(
      "Scores turned by the distance, a frequency for each head, as rotary embeddings do.",
      "score * cos((q - kv) * frequency[h])", "Su et al., 2021 (RoPE)");
  const Capture frequency = table(frequencies);
  make.score([=](auto score, auto, auto h, auto q,
                 auto kv) { return score * cos((q - kv) * frequency[h]); },
             [&frequencies](float score, const Row& row, int64_t kv) {
               return score * std::cos(static_cast<float>(row.q - kv) * at(frequencies, row.h));
             });
}

}  // namespace fovea::gallery
