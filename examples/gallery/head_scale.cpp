// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void head_scale(VariantMaker& make) {
  const auto& scales = make.normal(43, make.batch() * make.heads());
  make.describe("Scores of quantised keys brought back to scale, for each sequence and head.",
                "score * scale[b][h]", "Shah et al., 2024 (FlashAttention-3, FP8)");
  const Capture scale = table(scales, {make.batch(), make.heads()});
  const int64_t heads = make.heads();
  make.score([=](auto score, auto b, auto h, auto, auto) { return score * scale(b, h); },
             [&scales, heads](float score, const Row& row, int64_t) {
               return score * at(scales, row.b * heads + row.h);
             });
}

}  // namespace fovea::gallery
