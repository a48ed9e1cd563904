// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void checkerboard(VariantMaker& make) {
  make.describe("Scores at even distances doubled, at odd ones halved.",
                "score * (|q - kv| is even ? 2 : 0.5)", "He et al., 2024 (FlexAttention)");
  make.score([](auto score, auto, auto, auto q,
                auto kv) { return where(abs(q - kv) % 2 == 0, score * 2.0, score * 0.5); },
             [](float score, const Row& row, int64_t kv) {
               return ((row.q ^ kv) & 1) == 0 ? score * 2 : score * 0.5F;
             });
}

}  // namespace fovea::gallery
