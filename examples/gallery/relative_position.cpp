// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void relative_position(VariantMaker& make) {
  make.describe("The distance itself as a bias.", "score + (q - kv)",
                "He et al., 2024 (FlexAttention)");
  make.score([](auto score, auto, auto, auto q, auto kv) { return score + (q - kv); },
             [](float score, const Row& row, int64_t kv) {
               return score + static_cast<float>(row.q - kv);
             });
}

}  // namespace fovea::gallery
