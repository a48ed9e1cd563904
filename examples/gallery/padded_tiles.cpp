// SPDX-License-Identifier: Apache-2.0
#include <fovea/random.h>
#include "variant.h"

namespace fovea::gallery {

void padded_tiles(VariantMaker& make) {
  const int64_t tile = make.whole("tile", 64);
  const int64_t tiles = (make.length() + tile - 1) / tile;
  make.check_entries(make.heads() * tiles * tiles);
  std::vector<uint8_t> chosen(static_cast<std::size_t>(make.heads() * tiles * tiles));
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = Random(11).below(i, 4) == 0 ? 1 : 0;
  std::vector<int32_t> filled(static_cast<std::size_t>(tiles));
  for (std::size_t i = 0; i < filled.size(); ++i) {
    filled[i] = static_cast<int32_t>(1 + Random(12).below(i, tile));
  }
  const auto& map = make.keep(std::move(chosen));
  const auto& sizes = make.keep(std::move(filled));
  make.describe("Chosen tiles whose last tokens are padding: those are keys for nobody.",
                "map[h][q / tile][kv / tile] && kv % tile < size[kv / tile]",
                "Zhang et al., 2025 (VSA, tiles of different sizes)");
  const Capture map_table = table(map, {make.heads(), tiles, tiles}), size_table = table(sizes);
  make.mask(
      [=](auto, auto h, auto q, auto kv) {
        return map_table(h, q / tile, kv / tile) && kv % tile < size_table[kv / tile];
      },
      [&map, &sizes, tile, tiles](const Row& row, int64_t kv) {
        return at(map, (row.h * tiles + row.q / tile) * tiles + kv / tile) != 0 &&
               kv % tile < at(sizes, kv / tile);
      });
}

}  // namespace fovea::gallery
