// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "variant.h"

namespace fovea::gallery {

void alibi(VariantMaker& make) {
  std::vector<float> values;
  for (int64_t h = 0; h < make.heads(); ++h) {
    values.push_back(
        std::exp2(-8.0F * static_cast<float>(h + 1) / static_cast<float>(make.heads())));
  }
  const auto& slopes = make.keep(std::move(values));
  make.describe("Causal, with a penalty that grows with the distance, a slope for each head.",
                "score + slope[h] * (kv - q),  q >= kv", "Press et al., 2022 (ALiBi)");
  const Capture slope = table(slopes);
  make.score([=](auto score, auto, auto h, auto q, auto kv) { return score + slope[h] * (kv - q); },
             [&slopes](float score, const Row& row, int64_t kv) {
               return score + at(slopes, row.h) * static_cast<float>(kv - row.q);
             });
  make.mask([](auto, auto, auto q, auto kv) { return q >= kv; },
            [](const Row& row, int64_t kv) { return row.q >= kv; });
}

}  // namespace fovea::gallery
