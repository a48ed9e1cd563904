// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include <fovea/random.h>
#include "variant.h"

namespace fovea::gallery {

void bigbird(VariantMaker& make) {
  const int64_t block = make.whole("block", 64);
  const int64_t picks = make.whole("random", 3);
  const int64_t blocks = (make.length() + block - 1) / block;
  std::vector<int32_t> values(static_cast<std::size_t>(blocks * picks));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int32_t>(Random(6).below(i, blocks));
  }
  const auto& chosen = make.keep(std::move(values));
  make.describe("Blocks see their neighbours, the first and the last block, and a few random ones.",
                "|Q - K| <= 1 || {Q, K} has 0 or the last || K in random[Q], Q = q / block, "
                "K = kv / block",
                "Zaheer et al., 2020 (BigBird)");
  const Capture random = table(chosen, {blocks, picks});
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto rows = q / block, columns = kv / block;
        const auto is_global = [=](const Value& i) { return i == 0 || i == blocks - 1; };
        return abs(rows - columns) <= 1 || is_global(rows) || is_global(columns) ||
               any(random.row(rows) == columns);
      },
      [&chosen, block, blocks, picks](const Row& row, int64_t kv) {
        const int64_t r = row.q / block, c = kv / block;
        bool seen = std::abs(r - c) <= 1 || r == 0 || c == 0 || r == blocks - 1 || c == blocks - 1;
        for (int64_t i = 0; i < picks; ++i) seen |= at(chosen, r * picks + i) == c;
        return seen;
      });
}

}  // namespace fovea::gallery
