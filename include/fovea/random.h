// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include <fovea/export.h>

/// Counter-based random numbers: the value at a position depends on (seed, position) alone, so any
/// tiling and any number of threads sees the same numbers.
/// Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
namespace fovea {

FOVEA_API std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                             std::array<uint32_t, 2> key) noexcept;

class FOVEA_API Random {
 public:
  explicit Random(uint64_t seed) noexcept : seed_(seed) {}
  uint32_t bits(uint64_t position) const noexcept;  ///< 32 uniform bits
  float uniform(uint64_t position) const noexcept;  ///< in [0, 1), 24 bits
  float normal(uint64_t position) const noexcept;   ///< mean 0, variance 1 (Box-Muller)
  int64_t below(uint64_t position, int64_t limit) const noexcept;  ///< in [0, limit), limit > 0

 private:
  uint64_t seed_;
};

}  // namespace fovea
