// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void document(VariantMaker& make) {
  const auto& ids = make.keep(document_ids(make));
  make.describe("Several documents packed into one sequence, causal in each.",
                "document[q] == document[kv] && q >= kv", "Krell et al., 2021 (sequence packing)");
  const Capture documents = table(ids);
  make.mask(
      [=](auto, auto, auto q, auto kv) { return documents[q] == documents[kv] && q >= kv; },
      [&ids](const Row& row, int64_t kv) { return at(ids, row.q) == at(ids, kv) && row.q >= kv; });
}

}  // namespace fovea::gallery
