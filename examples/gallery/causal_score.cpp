// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "variant.h"

namespace fovea::gallery {

void causal_score(VariantMaker& make) {
  make.describe(
      "Causal as a score_mod: hidden scores become -inf. Slower than a mask, which skips blocks.",
      "q >= kv ? score : -inf", "He et al., 2024 (FlexAttention)");
  make.score(
      [](auto score, auto, auto, auto q, auto kv) { return where(q >= kv, score, -INFINITY); },
      [](float score, const Row& row, int64_t kv) { return row.q >= kv ? score : kHidden; });
}

}  // namespace fovea::gallery
