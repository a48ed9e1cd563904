// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void stand_alone(VariantMaker& make) {
  const auto [width, height] = canvas_of(make);
  const int64_t radius = make.whole("radius", width / 8);
  make.describe("An image in row order; each pixel sees the square around it, cut at the edges.",
                "|y(q) - y(kv)| <= radius && |x(q) - x(kv)| <= radius",
                "Ramachandran et al., 2019 (stand-alone self-attention)");
  make.mask(
      [=, w = width](auto, auto, auto q, auto kv) {
        return abs(q / w - kv / w) <= radius && abs(q % w - kv % w) <= radius;
      },
      [=, w = width](const Row& row, int64_t kv) {
        return std::abs(row.q / w - kv / w) <= radius && std::abs(row.q % w - kv % w) <= radius;
      });
}

}  // namespace fovea::gallery
