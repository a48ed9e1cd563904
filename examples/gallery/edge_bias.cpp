// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void edge_bias(VariantMaker& make) {
  // The path between two nodes, as the types of its first three edges.
  static constexpr int64_t kEdges = 3, kTypes = 5;
  const int64_t rows = make.shape().q_len, columns = make.shape().kv_len;
  make.check_entries(rows * columns * kEdges);
  std::vector<int32_t> types(static_cast<std::size_t>(rows * columns * kEdges));
  for (std::size_t i = 0; i < types.size(); ++i) types[i] = static_cast<int32_t>(i * 7 % kTypes);
  const auto& kinds = make.keep(std::move(types));
  const auto& weights = make.normal(41, make.heads() * kEdges * kTypes);
  make.describe(
      "Nodes of a graph: the mean of learned weights of the edges between them.",
      "score + sum of weight[h][n][type[q][kv][n]] over n < min(|q - kv|, 3), / that number",
      "Ying et al., 2021 (Graphormer)");
  const Capture type = table(kinds, {rows, columns, kEdges});
  const Capture weight = table(weights, {make.heads(), kEdges, kTypes});
  make.score(
      [=](auto score, auto, auto h, auto q, auto kv) {
        const auto count = min(abs(q - kv), kEdges);
        Value sum = 0.0;
        for (int64_t n = 0; n < kEdges; ++n) {
          sum = sum + where(n < count, weight(h, n, type(q, kv, n)), 0.0);
        }
        return score + sum / max(count, 1);
      },
      [&kinds, &weights, columns](float score, const Row& row, int64_t kv) {
        const int64_t count = std::min(kEdges, std::abs(row.q - kv));
        float sum = 0;
        for (int64_t n = 0; n < count; ++n) {
          const int32_t kind = at(kinds, (row.q * columns + kv) * kEdges + n);
          sum += at(weights, (row.h * kEdges + n) * kTypes + kind);
        }
        return count > 0 ? score + sum / static_cast<float>(count) : score;
      });
}

}  // namespace fovea::gallery
