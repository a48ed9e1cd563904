// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void dilated_window(VariantMaker& make) {
  const int64_t window = make.whole("window", make.length() / 8);
  const int64_t dilation = make.whole("dilation", 4);
  make.describe("Every dilation-th neighbour on both sides.",
                "|q - kv| <= window && |q - kv| % dilation == 0",
                "Beltagy et al., 2020 (Longformer)");
  make.mask([=](auto, auto, auto q,
                auto kv) { return abs(q - kv) <= window && abs(q - kv) % dilation == 0; },
            [=](const Row& row, int64_t kv) {
              const int64_t distance = std::abs(row.q - kv);
              return distance <= window && distance % dilation == 0;
            });
}

}  // namespace fovea::gallery
