// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "variant.h"

namespace fovea::gallery {

void flamingo(VariantMaker& make) {
  // Keys are the patches of images, queries are text; each image is seen by an interval of the text.
  const int64_t patches = make.whole("patches", make.shape().kv_len / 8);
  const int64_t images = std::max<int64_t>(1, (make.shape().kv_len + patches - 1) / patches);
  std::vector<int32_t> values;
  for (int64_t i = 0; i < images; ++i) {
    values.push_back(static_cast<int32_t>(make.shape().q_len * i / images));
    values.push_back(static_cast<int32_t>(make.shape().q_len * std::min(i + 2, images) / images));
  }
  const auto& intervals = make.keep(std::move(values));
  make.describe(
      "Cross-attention of text to images: each image is seen by the text that follows it.",
      "interval[kv / patches][0] <= q < interval[kv / patches][1]",
      "Alayrac et al., 2022 (Flamingo)");
  const Capture interval = table(intervals, {images, 2});
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto image = kv / patches;
        return q >= interval(image, 0) && q < interval(image, 1);
      },
      [&intervals, patches](const Row& row, int64_t kv) {
        const int64_t image = kv / patches;
        return row.q >= at(intervals, 2 * image) && row.q < at(intervals, 2 * image + 1);
      });
}

}  // namespace fovea::gallery
