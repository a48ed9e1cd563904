// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void packed_causal_document(VariantMaker& make) {
  const auto& ids = make.keep(document_ids(make));
  const auto& starts = make.keep(document_starts(ids));
  make.describe("Causal documents with one comparison less: each query sees one interval of keys.",
                "kv >= start[document[q]] && q >= kv", "attention-gym (packed causal documents)");
  const Capture documents = table(ids), start = table(starts);
  make.mask(
      [=](auto, auto, auto q, auto kv) { return kv >= start[documents[q]] && q >= kv; },
      [&ids](const Row& row, int64_t kv) { return at(ids, kv) == at(ids, row.q) && row.q >= kv; });
}

}  // namespace fovea::gallery
