// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void two_sided_window(VariantMaker& make) {
  const int64_t window = make.whole("window", make.length() / 16);
  make.describe("The neighbours on both sides, as encoders use it.", "|q - kv| <= window",
                "Beltagy et al., 2020 (Longformer)");
  make.mask([=](auto, auto, auto q, auto kv) { return abs(q - kv) <= window; },
            [=](const Row& row, int64_t kv) { return std::abs(row.q - kv) <= window; });
}

}  // namespace fovea::gallery
