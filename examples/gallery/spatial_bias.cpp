// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void spatial_bias(VariantMaker& make) {
  // A graph as its table of distances; here a path of nodes, cut at eight steps.
  static constexpr int64_t kFar = 8;
  const int64_t rows = make.shape().q_len, columns = make.shape().kv_len;
  make.check_entries(rows * columns);
  std::vector<int32_t> values(static_cast<std::size_t>(rows * columns));
  for (int64_t i = 0; i < rows * columns; ++i) {
    values[static_cast<std::size_t>(i)] =
        static_cast<int32_t>(std::min(kFar, std::abs(i / columns - i % columns)));
  }
  const auto& distances = make.keep(std::move(values));
  const auto& weights = make.normal(37, make.heads() * (kFar + 1));
  make.describe("Nodes of a graph, with a learned bias by their distance in it.",
                "score + bias[h][distance[q][kv]]", "Ying et al., 2021 (Graphormer)");
  const Capture distance = table(distances, {rows, columns});
  const Capture bias = table(weights, {make.heads(), kFar + 1});
  make.score(
      [=](auto score, auto, auto h, auto q, auto kv) { return score + bias[h][distance(q, kv)]; },
      [&weights](float score, const Row& row, int64_t kv) {
        return score + at(weights, row.h * (kFar + 1) + std::min(kFar, std::abs(row.q - kv)));
      });
}

}  // namespace fovea::gallery
