// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void jagged(VariantMaker& make) {
  std::vector<int32_t> values;
  for (int64_t b = 0; b < make.batch(); ++b) {
    values.push_back(
        static_cast<int32_t>(make.length() - make.length() * (b + 1) / (make.batch() + 2)));
  }
  const auto& lengths = make.keep(std::move(values));
  make.describe("Sequences of different lengths in one batch; what lies behind the end is hidden.",
                "q >= kv && q < length[b]", "PyTorch (nested tensors)");
  const Capture length = table(lengths);
  make.mask(
      [=](auto b, auto, auto q, auto kv) { return q >= kv && q < length[b]; },
      [&lengths](const Row& row, int64_t kv) { return row.q >= kv && row.q < at(lengths, row.b); });
}

}  // namespace fovea::gallery
