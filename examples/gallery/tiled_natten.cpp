// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

namespace {

// The pixel of a token where tiles follow each other, each in row order.
struct Tiling {
  int64_t tile, columns;
  template <class T>
  T y(const T& i) const {
    return i / (tile * tile) / columns * tile + i % (tile * tile) / tile;
  }
  template <class T>
  T x(const T& i) const {
    return i / (tile * tile) % columns * tile + i % tile;
  }
};

}  // namespace

void tiled_natten(VariantMaker& make) {
  const int64_t tile = make.whole("tile", 8);
  const auto root = static_cast<int64_t>(std::sqrt(static_cast<double>(make.length())));
  const int64_t columns = std::max<int64_t>(1, root / tile);
  const int64_t width = columns * tile;
  const int64_t band = width * tile;  // tokens of a row of tiles
  const int64_t height = (make.length() + band - 1) / band * tile;
  const int64_t reach = make.whole("kernel", std::min(width, height) / 5 | 1) / 2;
  const int64_t last_x = std::max(reach, width - 1 - reach);
  const int64_t last_y = std::max(reach, height - 1 - reach);
  make.describe("NATTEN with the tokens in tiles, so that neighbours share blocks.",
                "natten of (y, x), tile = i / T^2: y = tile / C * T + i % T^2 / T, "
                "x = tile % C * T + i % T",
                "Hassani et al., 2023; tiled as in attention-gym");
  const Tiling tiling{tile, columns};
  make.mask(
      [=](auto, auto, const Value& q, const Value& kv) {
        return abs(clamp(tiling.y(q), reach, last_y) - tiling.y(kv)) <= reach &&
               abs(clamp(tiling.x(q), reach, last_x) - tiling.x(kv)) <= reach;
      },
      [=](const Row& row, int64_t kv) {
        return std::abs(std::clamp(tiling.y(row.q), reach, last_y) - tiling.y(kv)) <= reach &&
               std::abs(std::clamp(tiling.x(row.q), reach, last_x) - tiling.x(kv)) <= reach;
      });
}

}  // namespace fovea::gallery
