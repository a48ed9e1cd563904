// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "variant.h"

namespace fovea::gallery {

void temperature(VariantMaker& make) {
  const auto& values = make.normal(17, make.heads());
  make.describe("A learned temperature for each head, kept positive by an exponential.",
                "score * exp(t[h])", "Henry et al., 2020 (query-key normalization)");
  const Capture t = table(values);
  make.score([=](auto score, auto, auto h, auto, auto) { return score * exp(t[h]); },
             [&values](float score, const Row& row, int64_t) {
               return score * std::exp(at(values, row.h));
             });
}

}  // namespace fovea::gallery
