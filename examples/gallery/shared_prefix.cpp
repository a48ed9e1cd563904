// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void shared_prefix(VariantMaker& make) {
  const auto& ids = make.keep(document_ids(make));
  const auto& starts = make.keep(document_starts(ids));
  // The first document of each four is the prefix of the three behind it.
  std::vector<int32_t> prefixes(starts.size() - 1);
  for (std::size_t i = 0; i < prefixes.size(); ++i) prefixes[i] = static_cast<int32_t>(i / 4 * 4);
  const auto& prefix_of = make.keep(std::move(prefixes));
  make.describe("Causal documents, several of which continue the same prefix document.",
                "(kv >= start[d] && q >= kv) || (d != p && start[p] <= kv < start[p + 1]), "
                "d = document[q], p = prefix[d]",
                "attention-gym (shared prefix)");
  const Capture documents = table(ids), start = table(starts), prefix = table(prefix_of);
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto own = documents[q];
        const auto shared = prefix[own];
        return (kv >= start[own] && q >= kv) ||
               (own != shared && kv >= start[shared] && kv < start[shared + 1]);
      },
      [&ids](const Row& row, int64_t kv) {
        const int32_t own = at(ids, row.q), other = at(ids, kv);
        return (own == other && row.q >= kv) || (own != other && other == own / 4 * 4);
      });
}

}  // namespace fovea::gallery
