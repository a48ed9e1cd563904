// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

namespace {

// C++ rounds towards zero; positions before the prompt are negative here.
int64_t floor_mod(int64_t a, int64_t b) { return (a % b + b) % b; }

}  // namespace

void temporal_head(VariantMaker& make) {
  const int64_t prompt = make.whole("prompt", make.length() / 16);
  const int64_t frame = make.whole("frame", make.length() / 8);
  const int64_t window = make.whole("window", frame / 8);
  make.describe(
      "Video: heads that look at the same place of every frame, and at the prompt.",
      "kv < prompt || q < prompt || |(q - prompt) % frame - (kv - prompt) % frame| < window",
      "Xi et al., 2025 (Sparse VideoGen)");
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        return kv < prompt || q < prompt ||
               abs((q - prompt) % frame - (kv - prompt) % frame) < window;
      },
      [=](const Row& row, int64_t kv) {
        return kv < prompt || row.q < prompt ||
               std::abs(floor_mod(row.q - prompt, frame) - floor_mod(kv - prompt, frame)) < window;
      });
}

}  // namespace fovea::gallery
