// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void document_offsets(VariantMaker& make) {
  const auto& ids = make.keep(document_ids(make));
  const auto& starts = make.keep(document_starts(ids));
  const int64_t window = make.whole("window", make.length() / 32);
  make.describe(
      "Documents by their offsets: a mask of positions within the document, here a window.",
      "document[q] == document[kv] && 0 <= inner(q) - inner(kv) <= window, "
      "inner(i) = i - start[document[i]]",
      "He et al., 2024 (FlexAttention)");
  const Capture documents = table(ids), start = table(starts);
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto q_inner = q - start[documents[q]];
        const auto kv_inner = kv - start[documents[kv]];
        return documents[q] == documents[kv] && q_inner >= kv_inner && q_inner - kv_inner <= window;
      },
      [&ids, window](const Row& row, int64_t kv) {
        return at(ids, row.q) == at(ids, kv) && kv <= row.q && row.q - kv <= window;
      });
}

}  // namespace fovea::gallery
