// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

void combined(VariantMaker& make) {
  const int64_t near = make.whole("near", make.length() / 32);
  const int64_t far = make.whole("far", make.length() / 4);
  const int64_t sink = make.whole("sink", 4);
  make.describe("Masks put together: causal, far but not near, or one of the first tokens.",
                "and(causal, or(not(near), sink), far or sink)",
                "FlexAttention (and_masks, or_masks)");
  const Program causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  const Program nearby = mask_mod([=](auto, auto, auto q, auto kv) { return abs(q - kv) < near; });
  const Program reach = mask_mod([=](auto, auto, auto q, auto kv) { return abs(q - kv) <= far; });
  const Program sinks = mask_mod([=](auto, auto, auto, auto kv) { return kv < sink; });
  const Program ring = and_masks(not_mask(nearby), reach);
  make.mask(and_masks(causal, or_masks(ring, sinks)), [=](const Row& row, int64_t kv) {
    const int64_t distance = std::abs(row.q - kv);
    return row.q >= kv && ((distance >= near && distance <= far) || kv < sink);
  });
}

}  // namespace fovea::gallery
