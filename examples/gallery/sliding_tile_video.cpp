// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "variant.h"

namespace fovea::gallery {

void sliding_tile_video(VariantMaker& make) {
  const int64_t tile = make.whole("tile", 4);  // along each axis
  const int64_t numel = tile * tile * tile;
  const int64_t tiles = (make.length() + numel - 1) / numel;
  int64_t side = 1;  // tiles along height and width
  while (side * side * side < tiles) ++side;
  const int64_t frames = (tiles + side * side - 1) / (side * side);
  const int64_t kernel = make.whole("kernel", 3);  // tiles along each axis
  const int64_t left = kernel / 2;
  const int64_t right = left + kernel % 2 - 1;
  make.describe(
      "Whole tiles of a video attend to whole tiles around them in time, height and width.",
      "c - K/2 <= tile(kv) <= c + K/2 + K%2 - 1 on three axes, c = clamp(tile(q))",
      "Zhang et al., 2025 (sliding tile attention)");
  const auto last = [=](int64_t count) { return std::max(left, count - 1 - right); };
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto near = [=](const Value& a, const Value& b, int64_t count) {
          const auto centre = clamp(a, left, last(count));
          return b >= centre - left && b <= centre + right;
        };
        const auto a = q / numel, b = kv / numel;
        return near(a / (side * side), b / (side * side), frames) &&
               near(a / side % side, b / side % side, side) && near(a % side, b % side, side);
      },
      [=](const Row& row, int64_t kv) {
        const auto near = [=](int64_t a, int64_t b, int64_t count) {
          const int64_t centre = std::clamp(a, left, last(count));
          return b >= centre - left && b <= centre + right;
        };
        const int64_t a = row.q / numel, b = kv / numel;
        return near(a / (side * side), b / (side * side), frames) &&
               near(a / side % side, b / side % side, side) && near(a % side, b % side, side);
      });
}

}  // namespace fovea::gallery
