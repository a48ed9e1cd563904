// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void batch_prefix(VariantMaker& make) {
  std::vector<int32_t> values;
  for (int64_t b = 0; b < make.batch(); ++b) {
    values.push_back(static_cast<int32_t>(make.length() * (b + 1) / (2 * make.batch())));
  }
  const auto& prefixes = make.keep(std::move(values));
  make.describe("Prefix LM with a prompt length for each sequence of the batch.",
                "kv < prefix[b] || q >= kv", "Raffel et al., 2020 (T5)");
  const Capture prefix = table(prefixes);
  make.mask(
      [=](auto b, auto, auto q, auto kv) { return kv < prefix[b] || q >= kv; },
      [&prefixes](const Row& row, int64_t kv) { return kv < at(prefixes, row.b) || row.q >= kv; });
}

}  // namespace fovea::gallery
