// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/simd_half.h"

/// The one matrix kernel: a block of C stays in registers while the inner dimension runs. Forward,
/// backward and decode differ only in the strides that they give it. For kernel sources only, as
/// simd.h.
///
/// Each element of C is summed along k in ascending order, whatever block it falls in, so a result
/// does not depend on how rows and columns were grouped. What the kernel must not do for that reason:
/// split k, or treat edge blocks in another order.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

// Rows and vectors of the block. Accumulators, one row of B and one element of A must fit the
// registers: 24 + 4 + 1 of 32 with AVX-512 and NEON, 12 + 2 + 1 of 16 with AVX2 and with SSE2 (which has
// no fused multiply-add, and so needs one more for the product).
#if FOVEA_SIMD_LANES == 16 || defined(FOVEA_SIMD_NEON)
#define FOVEA_SIMD_BLOCK_VECTORS 4
#else
#define FOVEA_SIMD_BLOCK_VECTORS 2
#endif
constexpr int kBlockRows = 6;
constexpr int kBlockVectors = FOVEA_SIMD_BLOCK_VECTORS;
constexpr int kBlockColumns = kBlockVectors * kLanes;

enum class Update {
  overwrite,  // C = A B
  add,        // C += A B
  scale,      // C = factor A B
};

/// A and B hold words: f32, or (as int32_t) pairs of bf16 that follow each other along k, which then counts
/// pairs. Strides count words. A may be walked in any direction: with (a_row, a_k) = (1, ld) it is read
/// transposed. B lies in panels of kBlockColumns columns.
template <class Word>
struct MatrixOperands {
  const Word* a;
  int64_t a_row, a_k;
  const Word* b;
  int64_t b_k, b_panel;  // from one row to the next, from one panel to the next
  float* c;
  int64_t c_row;
  const void* then;  // what will be read after this product: it is fetched meanwhile
  int64_t then_words;
  float factor = 1;
};

FOVEA_INLINE Floats multiply_add(Floats a, Floats b, Floats sum) { return fma(a, b, sum); }
FOVEA_INLINE Floats multiply_add(Ints a, Ints b, Floats sum) { return dot_pairs(a, b, sum); }

/// Fetches the next panel into the second-level cache while blocks are computed: the panels of one head
/// rarely fit there, and the hardware notices each new panel too late. One line a step of k: many at
/// once would take the buffers through which the first-level cache is filled.
struct Prefetch {
  const char* at;
  int64_t lines_per_block;
};

/// `count` blocks below each other, kRows x kVectors each.
template <int kRows, int kVectors, Update kUpdate, class Word>
__attribute__((noinline)) void multiply_blocks(int64_t count, int64_t k,
                                               const MatrixOperands<Word>& m, Prefetch& prefetch) {
  const int64_t a_row = m.a_row, a_k = m.a_k, b_k = m.b_k, c_row = m.c_row;
  const Word* a_block = m.a;
  float* c = m.c;
  for (; count > 0; --count, a_block += kRows * a_row, c += kRows * c_row) {
    const char* fetched = prefetch.at;
    const char* const fetch_end = fetched + prefetch.lines_per_block * 64;
    Floats sum[kRows][kVectors] = {};
    const Word* a = a_block;
    const Word* b = m.b;
#pragma GCC unroll 4
    for (int64_t i = k; i > 0; --i, a += a_k, b += b_k) {
      if (fetched < fetch_end) {
        __builtin_prefetch(fetched, 0, 2);
        fetched += 64;
      }
      decltype(load(b)) row[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) row[j] = load(b + j * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const auto x = broadcast(a[r * a_row]);
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) sum[r][j] = multiply_add(x, row[j], sum[r][j]);
      }
    }
    prefetch.at = fetched;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        float* at = c + r * c_row + j * kLanes;
        Floats result = sum[r][j];
        if constexpr (kUpdate == Update::add) result += load(at);
        if constexpr (kUpdate == Update::scale) result *= m.factor;
        store(at, result);
      }
    }
  }
}

/// Rows of the next blocks, and how many of them. Short blocks leave the multiply-add units waiting, so
/// what does not divide by 6 is cut into fives where that comes out even: 128 = 18 * 6 + 4 * 5.
struct RowBlocks {
  int64_t rows, count;
};
FOVEA_INLINE RowBlocks next_blocks(int64_t rows) {
  const int64_t fives = (6 - rows % 6) % 6;
  if (rows < 5 * fives) {
    const int64_t blocks = (rows + 5) / 6;
    return {(rows + blocks - 1) / blocks, 1};
  }
  return fives * 5 == rows ? RowBlocks{5, fives} : RowBlocks{6, (rows - 5 * fives) / 6};
}

template <int kVectors, Update kUpdate, class Word>
void multiply_rows(int64_t rows, int64_t k, MatrixOperands<Word> m, Prefetch prefetch) {
  while (rows > 0) {
    const RowBlocks next = next_blocks(rows);
    switch (next.rows) {
      case 6: multiply_blocks<6, kVectors, kUpdate>(next.count, k, m, prefetch); break;
      case 5: multiply_blocks<5, kVectors, kUpdate>(next.count, k, m, prefetch); break;
      case 4: multiply_blocks<4, kVectors, kUpdate>(1, k, m, prefetch); break;
      case 3: multiply_blocks<3, kVectors, kUpdate>(1, k, m, prefetch); break;
      case 2: multiply_blocks<2, kVectors, kUpdate>(1, k, m, prefetch); break;
      default: multiply_blocks<1, kVectors, kUpdate>(1, k, m, prefetch); break;
    }
    const int64_t done = next.rows * next.count;
    rows -= done;
    m.a += done * m.a_row;
    m.c += done * m.c_row;
  }
}

/// C[rows x vectors * kLanes] from columns [first_vector * kLanes, ...) of B. C's column 0 belongs to the
/// first of them. Whole vectors of B and C are read and written.
template <Update kUpdate, class Word>
void multiply(int64_t rows, int64_t k, int64_t first_vector, int64_t vectors,
              MatrixOperands<Word> m) {
  const Word* panels = m.b;
  const int64_t panel_words =
      m.b_k == kBlockColumns ? k * kBlockColumns : 0;  // else strided: not fetched
  while (vectors > 0) {
    const int64_t panel = first_vector / kBlockVectors, inside = first_vector % kBlockVectors;
    const int64_t rest = kBlockVectors - inside;
    const int64_t count = vectors < rest ? vectors : rest;
    m.b = panels + panel * m.b_panel + inside * kLanes;
    const bool last = count == vectors;
    const void* next = last ? m.then : panels + (panel + 1) * m.b_panel;
    const int64_t lines = (last ? m.then_words : panel_words) / (64 / 4);
    const Prefetch prefetch{static_cast<const char*>(next), (lines * kBlockRows + rows - 1) / rows};
    switch (count) {
#if FOVEA_SIMD_BLOCK_VECTORS == 4
      case 4: multiply_rows<4, kUpdate>(rows, k, m, prefetch); break;
      case 3: multiply_rows<3, kUpdate>(rows, k, m, prefetch); break;
#endif
      case 2: multiply_rows<2, kUpdate>(rows, k, m, prefetch); break;
      default: multiply_rows<1, kUpdate>(rows, k, m, prefetch); break;
    }
    first_vector += count;
    vectors -= count;
    m.c += count * kLanes;
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
