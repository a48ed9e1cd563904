// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fovea/random.h>
#include "variant.h"

namespace fovea::gallery {

void top_tiles(VariantMaker& make) {
  const int64_t tile = make.whole("tile", 64);
  const int64_t tiles = (make.length() + tile - 1) / tile;
  const int64_t count = std::min<int64_t>(make.whole("count", 4), tiles);
  std::vector<int32_t> values(static_cast<std::size_t>(make.heads() * tiles * count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int32_t>(Random(10).below(i, tiles));
  }
  const auto& chosen = make.keep(std::move(values));
  make.describe("Each tile of queries sees the few tiles of keys that a router chose for it.",
                "kv / tile in top[h][q / tile]", "Zhang et al., 2025 (VSA, top-k tiles)");
  const Capture top = table(chosen, {make.heads(), tiles, count});
  make.mask([=](auto, auto h, auto q, auto kv) { return any(top.row(h, q / tile) == kv / tile); },
            [&chosen, tile, tiles, count](const Row& row, int64_t kv) {
              const auto first = chosen.begin() + static_cast<std::ptrdiff_t>(
                                                      (row.h * tiles + row.q / tile) * count);
              return std::find(first, first + static_cast<std::ptrdiff_t>(count), kv / tile) !=
                     first + static_cast<std::ptrdiff_t>(count);
            });
}

}  // namespace fovea::gallery
