// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/simd.h"

/// Tables of at most 32 words, held in registers: a lookup is then a few permutations, where a gather
/// reads memory lane by lane. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

#if defined(FOVEA_SIMD_AVX512) || defined(FOVEA_SIMD_AVX2)
constexpr int64_t kTableWords = 32;
#else
constexpr int64_t kTableWords = 0;  // nothing to permute with
#endif

class SmallTable {
 public:
  SmallTable(const float* from, int64_t size) : parts_((size + kLanes - 1) / kLanes) {
    for (int64_t p = 0; p < kParts; ++p) {
      const int64_t left = size - p * kLanes;
      part_[p] =
          left > 0 ? load_partial(from + p * kLanes, left < kLanes ? left : kLanes) : Floats{};
    }
  }

  /// Lanes with an index outside the table give anything.
  FOVEA_INLINE Floats at(Ints index) const {
#if defined(FOVEA_SIMD_AVX512)
    return _mm512_permutex2var_ps(part_[0], reinterpret_cast<__m512i>(index), part_[1]);
#elif defined(FOVEA_SIMD_AVX2)
    if (parts_ == 1) return permuted(0, index);
    // Bits 3 and 4 of the index choose the part; a blend looks at the sign.
    const Ints bit3 = index << 28;
    const Floats low = select(bit3, permuted(1, index), permuted(0, index));
    if (parts_ == 2) return low;
    const Floats high = select(bit3, permuted(3, index), permuted(2, index));
    return select(index << 27, high, low);
#else
    return as_floats(index);
#endif
  }

 private:
  static constexpr int64_t kParts = kTableWords > 0 ? kTableWords / kLanes : 1;

#if defined(FOVEA_SIMD_AVX2)
  FOVEA_INLINE Floats permuted(int p, Ints index) const {
    return _mm256_permutevar8x32_ps(part_[p], reinterpret_cast<__m256i>(index));
  }
#endif

  [[maybe_unused]] int64_t parts_;  // a table of one width needs no count
  Floats part_[kParts];
};

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
