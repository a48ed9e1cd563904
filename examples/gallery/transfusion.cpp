// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "variant.h"

namespace fovea::gallery {

void transfusion(VariantMaker& make) {
  // Images of an eighth of the sequence, with text of the same length between them.
  const int64_t part = std::max<int64_t>(1, make.length() / 8);
  std::vector<int32_t> values(static_cast<std::size_t>(make.length()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto number = static_cast<int64_t>(i) / part;
    values[i] = static_cast<int32_t>(number % 2 == 1 ? number / 2 + 1 : 0);
  }
  const auto& images = make.keep(std::move(values));
  make.describe("Text is causal, the patches of an image see each other in both directions.",
                "q >= kv || (image[q] != 0 && image[q] == image[kv])",
                "Zhou et al., 2024 (Transfusion)");
  const Capture image = table(images);
  make.mask([=](auto, auto, auto q,
                auto kv) { return q >= kv || (image[q] != 0 && image[q] == image[kv]); },
            [&images](const Row& row, int64_t kv) {
              const int32_t own = at(images, row.q);
              return row.q >= kv || (own != 0 && own == at(images, kv));
            });
}

}  // namespace fovea::gallery
