// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/simd.h"

/// Square transposes in registers: blocks of 1, 2, 4, ... lanes change places. For kernel sources only, as
/// simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// kLanes x kLanes elements in registers.
struct Square {
  Floats row[kLanes];
};

// Lane j of the two rows of a pair after their off-diagonal blocks of kStep lanes have changed places;
// lanes of the second row count from kLanes.
#define FOVEA_UPPER(j) (((j) & kStep) != 0 ? kLanes + ((j) & ~kStep) : (j))
#define FOVEA_LOWER(j) (((j) & kStep) != 0 ? kLanes + (j) : ((j) | kStep))
#define FOVEA_FOUR(f, j) f(j), f((j) + 1), f((j) + 2), f((j) + 3)
#if FOVEA_SIMD_LANES == 16
#define FOVEA_LANES(f) FOVEA_FOUR(f, 0), FOVEA_FOUR(f, 4), FOVEA_FOUR(f, 8), FOVEA_FOUR(f, 12)
#elif FOVEA_SIMD_LANES == 8
#define FOVEA_LANES(f) FOVEA_FOUR(f, 0), FOVEA_FOUR(f, 4)
#else
#define FOVEA_LANES(f) FOVEA_FOUR(f, 0)
#endif

template <int kStep>
FOVEA_INLINE void swap_blocks(Square& square) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if ((i & kStep) != 0) continue;
    const Floats a = square.row[i], b = square.row[i + kStep];
    square.row[i] = __builtin_shufflevector(a, b, FOVEA_LANES(FOVEA_UPPER));
    square.row[i + kStep] = __builtin_shufflevector(a, b, FOVEA_LANES(FOVEA_LOWER));
  }
}

/// Both rows at half the length, in the places that swap_blocks gives them.
template <int kStep>
FOVEA_INLINE Floats add_blocks(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, FOVEA_LANES(FOVEA_UPPER)) +
         __builtin_shufflevector(a, b, FOVEA_LANES(FOVEA_LOWER));
}

#undef FOVEA_LANES
#undef FOVEA_FOUR
#undef FOVEA_LOWER
#undef FOVEA_UPPER

template <int kStep>
FOVEA_INLINE void fold_rows(Square& square) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; i += 2 * kStep) {
    square.row[i] = add_blocks<kStep>(square.row[i], square.row[i + kStep]);
  }
}

/// Lane i is the sum of the lanes of row i, added up in the same order for each i.
FOVEA_INLINE Floats sum_rows(Square square) {
  fold_rows<1>(square);
  fold_rows<2>(square);
#if FOVEA_SIMD_LANES >= 8
  fold_rows<4>(square);
#endif
#if FOVEA_SIMD_LANES >= 16
  fold_rows<8>(square);
#endif
  return square.row[0];
}

FOVEA_INLINE void transpose(Square& square) {
  swap_blocks<1>(square);
  swap_blocks<2>(square);
#if FOVEA_SIMD_LANES >= 8
  swap_blocks<4>(square);
#endif
#if FOVEA_SIMD_LANES >= 16
  swap_blocks<8>(square);
#endif
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
