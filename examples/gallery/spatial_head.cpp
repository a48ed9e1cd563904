// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void spatial_head(VariantMaker& make) {
  const int64_t prompt = make.whole("prompt", make.length() / 16);
  const int64_t window = make.whole("window", make.length() / 8);
  make.describe("Video: heads that look around in the same frame, and at the prompt.",
                "kv < prompt || q < prompt || |q - kv| < window",
                "Xi et al., 2025 (Sparse VideoGen)");
  make.mask([=](auto, auto, auto q,
                auto kv) { return kv < prompt || q < prompt || abs(q - kv) < window; },
            [=](const Row& row, int64_t kv) {
              return kv < prompt || row.q < prompt || std::abs(row.q - kv) < window;
            });
}

}  // namespace fovea::gallery
