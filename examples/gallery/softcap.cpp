// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "variant.h"

namespace fovea::gallery {

void softcap(VariantMaker& make) {
  const double cap = make.number("cap", 30);
  make.describe("Causal, scores held within -cap..cap by a soft limit.",
                "cap * tanh(score / cap),  q >= kv", "Riviere et al., 2024 (Gemma 2)");
  make.score([=](auto score, auto, auto, auto, auto) { return cap * tanh(score / cap); },
             [cap = static_cast<float>(cap)](float score, const Row&, int64_t) {
               return cap * std::tanh(score / cap);
             });
  make.mask([](auto, auto, auto q, auto kv) { return q >= kv; },
            [](const Row& row, int64_t kv) { return row.q >= kv; });
}

}  // namespace fovea::gallery
