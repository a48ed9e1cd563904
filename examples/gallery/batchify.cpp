// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void batchify(VariantMaker& make) {
  const int64_t length = make.whole("length", make.length() / 8);
  make.describe("A batch of equally long sequences laid end to end, causal in each.",
                "q / length == kv / length && q % length >= kv % length",
                "attention-gym (batchify)");
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        return q / length == kv / length && q % length >= kv % length;
      },
      [=](const Row& row, int64_t kv) { return row.q / length == kv / length && row.q >= kv; });
}

}  // namespace fovea::gallery
