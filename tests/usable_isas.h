// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <fovea/attention.h>
#include <fovea/error.h>
#include "unit/core/environment.h"

namespace fovea::test {

/// The values of FOVEA_ISA that this machine can run.
inline std::vector<std::string> usable_isas() {
  std::vector<std::string> usable;
  for (const char* isa : {"baseline", "avx2", "avx512", "avx512_bf16", "neon"}) {
    const Environment environment("FOVEA_ISA", isa);
    try {
      backends();
      usable.emplace_back(isa);
    } catch (const InvalidArgument&) {  // this machine does not have it
    }
  }
  return usable;
}

}  // namespace fovea::test
