// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void sliding_window(VariantMaker& make) {
  const int64_t window = make.whole("window", make.length() / 8);
  make.describe("Causal, and no further back than the window.", "q >= kv && q - kv <= window",
                "Beltagy et al., 2020 (Longformer); Jiang et al., 2023 (Mistral 7B)");
  make.mask([=](auto, auto, auto q, auto kv) { return q >= kv && q - kv <= window; },
            [=](const Row& row, int64_t kv) { return kv <= row.q && kv >= row.q - window; });
}

}  // namespace fovea::gallery
