// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "variant.h"

namespace fovea::gallery {

void activation(VariantMaker& make) {
  make.describe("Attention weights 1 + gelu(score) instead of exp(score): through the logarithm.",
                "log(1 + gelu(score)), gelu(x) = x / 2 * (1 + erf(x / sqrt 2))",
                "attention-gym (activation score mods); Hendrycks and Gimpel, 2016 (GELU)");
  make.score([](auto score, auto, auto, auto,
                auto) { return log(1.0 + 0.5 * score * (1.0 + erf(score * 0.70710678118654752))); },
             [](float score, const Row&, int64_t) {
               return std::log1p(0.5F * score * (1 + std::erf(score * 0.70710678F)));
             });
}

}  // namespace fovea::gallery
