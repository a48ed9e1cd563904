// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void draft_training(VariantMaker& make) {
  const int64_t prefix = make.whole("prefix", make.length() / 4);
  const int64_t block = make.whole("block", 16);
  make.describe(
      "Training of a draft model: blocks of drafts see the prefix and themselves, causally.",
      "kv < prefix || ((kv - prefix) / block == q / block && "
      "(kv - prefix) % block <= q % block)",
      "attention-gym (speculative training)");
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto draft = kv - prefix;
        return kv < prefix || (draft / block == q / block && draft % block <= q % block);
      },
      [=](const Row& row, int64_t kv) {
        if (kv < prefix) return true;
        const int64_t draft = kv - prefix;
        return draft / block == row.q / block && draft <= row.q;
      });
}

}  // namespace fovea::gallery
