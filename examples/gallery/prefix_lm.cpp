// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void prefix_lm(VariantMaker& make) {
  const int64_t prefix = make.whole("prefix", make.length() / 4);
  make.describe("A prompt that all tokens see in both directions, then causal.",
                "kv < prefix || q >= kv", "Raffel et al., 2020 (T5)");
  make.mask([=](auto, auto, auto q, auto kv) { return kv < prefix || q >= kv; },
            [=](const Row& row, int64_t kv) { return kv < prefix || row.q >= kv; });
}

}  // namespace fovea::gallery
