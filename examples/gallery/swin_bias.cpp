// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void swin_bias(VariantMaker& make) {
  const int64_t side = make.whole("side", 7);
  const int64_t window = side * side, span = 2 * side - 1;
  const int64_t heads = make.heads();
  const auto& weights = make.normal(7, span * span * heads);
  make.describe(
      "Windows of an image one after the other, with a learned bias by offset in the window.",
      "score + bias[y(q) - y(kv) + side - 1][x(q) - x(kv) + side - 1][h],  same window",
      "Liu et al., 2021 (Swin transformer)");
  const Capture bias = table(weights, {span, span, heads});
  make.score(
      [=](auto score, auto, auto h, auto q, auto kv) {
        const auto y = q % window / side - kv % window / side + (side - 1);
        const auto x = q % side - kv % side + (side - 1);
        return score + bias(y, x, h);
      },
      [&weights, side, window, span, heads](float score, const Row& row, int64_t kv) {
        // Windows have side * side tokens, so a position in the row is one within the window, too.
        const int64_t q = row.q % window, k = kv % window;
        const int64_t y = q / side - k / side + side - 1, x = row.q % side - kv % side + side - 1;
        return score + at(weights, (y * span + x) * heads + row.h);
      });
  make.mask([=](auto, auto, auto q, auto kv) { return q / window == kv / window; },
            [=](const Row& row, int64_t kv) { return row.q / window == kv / window; });
}

}  // namespace fovea::gallery
