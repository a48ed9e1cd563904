// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void block_diagonal(VariantMaker& make) {
  const int64_t block = make.whole("block", make.length() / 8);
  make.describe("Blocks of tokens that see each other and nothing else.", "q / block == kv / block",
                "Qiu et al., 2020 (blockwise self-attention)");
  make.mask([=](auto, auto, auto q, auto kv) { return q / block == kv / block; },
            [=](const Row& row, int64_t kv) { return row.q / block == kv / block; });
}

}  // namespace fovea::gallery
