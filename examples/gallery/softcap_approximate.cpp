// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "variant.h"

namespace fovea::gallery {

void softcap_approximate(VariantMaker& make) {
  const double cap = make.number("cap", 30);
  make.describe(
      "The soft limit by a rational function: off by at most 0.0014 * cap, no exponential.",
      "cap * t * (945 + 105 t^2 + t^4) / (945 + 420 t^2 + 15 t^4), "
      "t = clamp(score / cap, -3.64, 3.64),  q >= kv",
      "Lambert's continued fraction of tanh");
  make.score(
      [=](auto score, auto, auto, auto, auto) {
        const auto t = clamp(score / cap, -3.64, 3.64);
        const auto square = t * t;
        return cap * t * (945.0 + square * (105.0 + square)) /
               (945.0 + square * (420.0 + 15.0 * square));
      },
      [cap = static_cast<float>(cap)](float score, const Row&, int64_t) {
        const float t = std::clamp(score / cap, -3.64F, 3.64F);
        const float t2 = t * t, t4 = t2 * t2;
        return cap * t * (945 + 105 * t2 + t4) / (945 + 420 * t2 + 15 * t4);
      });
  make.mask([](auto, auto, auto q, auto kv) { return q >= kv; },
            [](const Row& row, int64_t kv) { return row.q >= kv; });
}

}  // namespace fovea::gallery
