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

/// Philox2x32-10: 64 random bits; random_bits of a mod (<fovea/value.h>) gives the first word.
constexpr std::array<uint32_t, 2> philox2x32(std::array<uint32_t, 2> counter,
                                             uint32_t key) noexcept {
  constexpr uint64_t kMultiplier = 0xD256D193;
  constexpr uint32_t kWeyl = 0x9E3779B9;
  for (int round = 0; round < 10; ++round, key += kWeyl) {
    const uint64_t product = kMultiplier * counter[0];
    counter = {static_cast<uint32_t>(product >> 32) ^ key ^ counter[1],
               static_cast<uint32_t>(product)};
  }
  return counter;
}

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
