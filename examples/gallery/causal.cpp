// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void causal(VariantMaker& make) {
  make.describe("Each token sees itself and all earlier ones.", "q >= kv", "Vaswani et al., 2017");
  make.mask([](auto, auto, auto q, auto kv) { return q >= kv; },
            [](const Row& row, int64_t kv) { return row.q >= kv; });
}

}  // namespace fovea::gallery
