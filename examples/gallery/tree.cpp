// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "variant.h"

namespace fovea::gallery {

namespace {

// Node i hangs under (i - 1) / 2: a complete binary tree of drafted tokens.
std::vector<uint8_t> ancestors(int64_t nodes) {
  std::vector<uint8_t> is_ancestor(static_cast<std::size_t>(nodes * nodes));
  for (int64_t i = 0; i < nodes; ++i) {
    for (int64_t a = i;; a = (a - 1) / 2) {
      is_ancestor[static_cast<std::size_t>(i * nodes + a)] = 1;
      if (a == 0) break;
    }
  }
  return is_ancestor;
}

bool is_above(int64_t ancestor, int64_t node) {
  while (node > ancestor) node = (node - 1) / 2;
  return node == ancestor;
}

}  // namespace

void tree(VariantMaker& make) {
  const int64_t nodes = std::min<int64_t>(make.whole("nodes", 63), make.length());
  const int64_t prefix = make.length() - nodes;
  make.describe(
      "A prompt, then a tree of drafted tokens: each sees the prompt and its own ancestors.",
      "kv < prefix ? q >= kv : ancestor[q - prefix][kv - prefix]",
      "Miao et al., 2024 (SpecInfer); Cai et al., 2024 (Medusa)");
  const Capture ancestor = table(make.keep(ancestors(nodes)), {nodes, nodes});
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        return where(kv < prefix, q >= kv, q >= prefix && ancestor[q - prefix][kv - prefix]);
      },
      [=](const Row& row, int64_t kv) {
        if (kv < prefix) return row.q >= kv;
        return row.q >= prefix && is_above(kv - prefix, row.q - prefix);
      });
}

}  // namespace fovea::gallery
