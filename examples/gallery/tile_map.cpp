// SPDX-License-Identifier: Apache-2.0
#include <fovea/random.h>
#include "variant.h"

namespace fovea::gallery {

void tile_map(VariantMaker& make) {
  const int64_t tile = make.whole("tile", 64);
  const int64_t tiles = (make.length() + tile - 1) / tile;
  make.check_entries(make.heads() * tiles * tiles);
  std::vector<uint8_t> values(static_cast<std::size_t>(make.heads() * tiles * tiles));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = Random(9).below(i, 8) == 0 ? 1 : 0;
  const auto& chosen = make.keep(std::move(values));
  make.describe("Which tiles see which is read from a table, one for each head.",
                "map[h][q / tile][kv / tile]", "Zhang et al., 2025 (VSA, block maps)");
  const Capture map = table(chosen, {make.heads(), tiles, tiles});
  make.mask([=](auto, auto h, auto q, auto kv) { return map(h, q / tile, kv / tile); },
            [&chosen, tile, tiles](const Row& row, int64_t kv) {
              return at(chosen, (row.h * tiles + row.q / tile) * tiles + kv / tile) != 0;
            });
}

}  // namespace fovea::gallery
