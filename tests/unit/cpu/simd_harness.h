// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cpu/isa.h"
#include "unit/cpu/simd_entry.h"

namespace fovea::cpu {

#define FOVEA_EACH(name)             \
  namespace name {                   \
  extern const SimdEntry kSimdEntry; \
  }
FOVEA_FOR_EACH_BUILT_ISA(FOVEA_EACH)
FOVEA_EACH(wide)  // 16 lanes on any machine
#undef FOVEA_EACH

struct NamedSimd {
  std::string name;
  const SimdEntry* entry = nullptr;
};

/// Of every instruction set that this machine has.
inline std::vector<NamedSimd> all_simd() {
  std::vector<NamedSimd> all;
  for (const Isa isa : usable_isas()) {
#define FOVEA_EACH(name) \
  if (isa == Isa::name) all.push_back({#name, &name::kSimdEntry});
    FOVEA_FOR_EACH_BUILT_ISA(FOVEA_EACH)
#undef FOVEA_EACH
  }
  all.push_back({"wide", &wide::kSimdEntry});
  return all;
}

}  // namespace fovea::cpu
