// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

namespace fovea::gallery {

void noop(VariantMaker& make) {
  make.describe("Every token sees every token.", "score", "Vaswani et al., 2017");
}

}  // namespace fovea::gallery
