// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <fovea/export.h>

namespace fovea {

/// 128 bits of content hash: equal content, equal hash, on every machine.
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

FOVEA_API std::string to_string(const Hash128& hash);  ///< 32 hexadecimal digits

}  // namespace fovea
