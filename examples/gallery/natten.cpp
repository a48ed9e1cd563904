// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void natten(VariantMaker& make) {
  const Canvas canvas = canvas_of(make);
  const int64_t width = canvas.width;
  const int64_t kernel = make.whole("kernel", std::min(width, canvas.height) / 5 | 1);
  const int64_t reach = kernel / 2;
  // A canvas smaller than the kernel: everything is near.
  const int64_t last_x = std::max(reach, width - 1 - reach);
  const int64_t last_y = std::max(reach, canvas.height - 1 - reach);
  make.describe(
      "An image in row order; each pixel sees the kernel x kernel around it, moved inside at the "
      "edges.",
      "|clamp(y(q)) - y(kv)| <= kernel/2 && |clamp(x(q)) - x(kv)| <= kernel/2",
      "Hassani et al., 2023 (neighborhood attention)");
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto y = clamp(q / width, reach, last_y);
        const auto x = clamp(q % width, reach, last_x);
        return abs(y - kv / width) <= reach && abs(x - kv % width) <= reach;
      },
      [=](const Row& row, int64_t kv) {
        const int64_t y = std::clamp(row.q / width, reach, last_y);
        const int64_t x = std::clamp(row.q % width, reach, last_x);
        return std::abs(y - kv / width) <= reach && std::abs(x - kv % width) <= reach;
      });
}

}  // namespace fovea::gallery
