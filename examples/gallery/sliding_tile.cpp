// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "variant.h"

namespace fovea::gallery {

void sliding_tile(VariantMaker& make) {
  const int64_t tile = make.whole("tile", 8);  // pixels along a side
  const int64_t numel = tile * tile;
  const int64_t tiles = (make.length() + numel - 1) / numel;
  int64_t columns = 1;
  while (columns * columns < tiles) ++columns;
  const int64_t rows = (tiles + columns - 1) / columns;
  const int64_t kernel = make.whole("kernel", 3);  // tiles along a side
  const int64_t left = kernel / 2;
  const int64_t right = left + kernel % 2 - 1;
  make.describe("Whole tiles of an image attend to whole tiles around them: no block is partial.",
                "c - K/2 <= tile(kv) <= c + K/2 + K%2 - 1 in both directions, c = clamp(tile(q))",
                "Zhang et al., 2025 (sliding tile attention)");
  const auto last = [=](int64_t count) { return std::max(left, count - 1 - right); };
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto near = [=](const Value& a, const Value& b, int64_t count) {
          const auto centre = clamp(a, left, last(count));
          return b >= centre - left && b <= centre + right;
        };
        const auto q_tile = q / numel, kv_tile = kv / numel;
        return near(q_tile / columns, kv_tile / columns, rows) &&
               near(q_tile % columns, kv_tile % columns, columns);
      },
      [=](const Row& row, int64_t kv) {
        const auto near = [=](int64_t a, int64_t b, int64_t count) {
          const int64_t centre = std::clamp(a, left, last(count));
          return b >= centre - left && b <= centre + right;
        };
        const int64_t q_tile = row.q / numel, kv_tile = kv / numel;
        return near(q_tile / columns, kv_tile / columns, rows) &&
               near(q_tile % columns, kv_tile % columns, columns);
      });
}

}  // namespace fovea::gallery
