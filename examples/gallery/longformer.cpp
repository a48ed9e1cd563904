// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include <fovea/random.h>
#include "variant.h"

namespace fovea::gallery {

void longformer(VariantMaker& make) {
  const int64_t window = make.whole("window", make.length() / 16);
  std::vector<uint8_t> flags(static_cast<std::size_t>(make.length()));
  flags[0] = 1;
  for (uint64_t i = 0; i < 3; ++i)
    flags[static_cast<std::size_t>(Random(4).below(i, make.length()))] = 1;
  const auto& chosen = make.keep(std::move(flags));
  make.describe("A window on both sides, and a few global tokens that see and are seen by all.",
                "|q - kv| <= window || global[q] || global[kv]",
                "Beltagy et al., 2020 (Longformer)");
  const Capture global = table(chosen);
  make.mask(
      [=](auto, auto, auto q, auto kv) { return abs(q - kv) <= window || global[q] || global[kv]; },
      [&chosen, window](const Row& row, int64_t kv) {
        return std::abs(row.q - kv) <= window || at(chosen, row.q) != 0 || at(chosen, kv) != 0;
      });
}

}  // namespace fovea::gallery
