// SPDX-License-Identifier: Apache-2.0
#include <fovea/random.h>
#include "variant.h"

namespace fovea::gallery {

void shuffled_documents(VariantMaker& make) {
  auto values = document_ids(make);
  for (auto& id : values)
    id = static_cast<int32_t>(Random(8).below(static_cast<uint64_t>(id), 1 << 20));
  const auto& ids = make.keep(std::move(values));
  make.describe("Documents whose ids follow no order; each token sees its whole document.",
                "document[q] == document[kv]", "Krell et al., 2021 (sequence packing)");
  const Capture documents = table(ids);
  make.mask([=](auto, auto, auto q, auto kv) { return documents[q] == documents[kv]; },
            [&ids](const Row& row, int64_t kv) { return at(ids, row.q) == at(ids, kv); });
}

}  // namespace fovea::gallery
