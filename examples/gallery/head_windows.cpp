// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void head_windows(VariantMaker& make) {
  const int64_t window = make.whole("window", make.length() / 32);
  make.describe("A window for each head, each wider than the one before.",
                "|q - kv| <= window * (h + 1)", "Sukhbaatar et al., 2019 (adaptive span)");
  make.mask(
      [=](auto, auto h, auto q, auto kv) { return abs(q - kv) <= window * (h + 1); },
      [=](const Row& row, int64_t kv) { return std::abs(row.q - kv) <= window * (row.h + 1); });
}

}  // namespace fovea::gallery
