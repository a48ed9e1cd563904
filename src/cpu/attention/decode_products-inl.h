// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/forward-inl.h"
#include "cpu/attention/kernels.h"
#include "cpu/transpose.h"

/// The products of decoding: a few query rows with keys and values that are read where they lie. For
/// kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// Keys [begin, end) that each set of rows sees in the same way.
struct DecodeSegment {
  int64_t begin, end;
  const uint8_t* kinds;  // a set: skipped, partial or full
};
enum : uint8_t { kSkippedKeys, kPartialKeys, kFullKeys };

/// One worker's memory.
struct DecodeScratch {
  int64_t query_row, score_row, value_row;  // floats from row to row
  float *queries, *scores, *values, *reference, *sum, *largest;
  uint8_t* kinds;           // a column of the mask's blocks: a kind a set
  DecodeSegment* segments;  // at most as many as columns
  void *machine, *weight_machine;
  size_t bytes = 0;

  /// With memory == nullptr only `bytes` counts.
  DecodeScratch(const DecodeCall& decode, void* memory) {
    const ForwardCall& call = decode.call;
    const int64_t rows = decode.rows, columns = decode.mask_columns();
    query_row = vectors_of(call.head_dim) * kLanes;
    score_row =
        kDecodePiece + 2 * kLanes + 16;  // the odd vector keeps rows off the same cache sets
    value_row = vectors_of(call.value_dim) * kLanes;
    char* base = static_cast<char*>(memory);
    queries = static_cast<float*>(take(base, rows * query_row * 4));
    scores = static_cast<float*>(take(base, rows * score_row * 4));
    values = static_cast<float*>(take(base, rows * value_row * 4));
    reference = static_cast<float*>(take(base, rows * 4));
    sum = static_cast<float*>(take(base, rows * kLanes * 4));
    largest = static_cast<float*>(take(base, rows * 4));
    kinds = static_cast<uint8_t*>(take(base, columns * kMaxDecodeRows));
    segments = static_cast<DecodeSegment*>(
        take(base, columns * static_cast<int64_t>(sizeof(DecodeSegment))));
    machine = take_machine(base, call, call.program);
    weight_machine = take_machine(base, call, call.weight_program);
  }

 private:
  void* take_machine(char* base, const ForwardCall& call, const TileProgram* program) {
    if (program == nullptr) return nullptr;
    return take(base, static_cast<int64_t>(
                          TileMachine::scratch_bytes(*program, call.max_rows, kDecodePiece)));
  }

  void* take(char* base, int64_t size) {
    char* at = base == nullptr ? nullptr : base + bytes;
    bytes += (static_cast<size_t>(size) + 63) / 64 * 64;
    return at;
  }
};

/// Some keys' rows, wherever they lie; those that follow are known as well, and fetched meanwhile.
template <class Element>
struct KeyChunk {
  int64_t key, keys;  // [key, key + keys)
  int64_t known;      // rows
  const Element* const* rows;

  FOVEA_INLINE void fetch(int64_t i, int64_t first, int64_t elements) const {
    if (i >= known) return;
    const auto* at = reinterpret_cast<const char*>(rows[i] + first);
    for (int64_t byte = 0; byte < elements * static_cast<int64_t>(sizeof(Element)); byte += 64) {
      __builtin_prefetch(at + byte, 0, 3);
    }
  }
};
// Their values stay in the first-level cache.
constexpr int64_t kChunkKeys = 64;

// ---- scores --------------------------------------------------------------------------------------

// How far ahead keys are fetched.
constexpr int64_t kFetchBytes = 4096;

/// Scores of kRows rows: scores[r * score_row + key]. Writes up to kLanes / kRows keys more.
template <int kRows, class Element>
__attribute__((noinline)) void dot_rows(const DecodeScratch& scratch, int64_t first_row,
                                        int64_t dim, const KeyChunk<Element>& chunk,
                                        float* scores) {
  constexpr int kKeys = kLanes / kRows;
  const float* queries = scratch.queries + first_row * scratch.query_row;
  const int64_t whole = dim / kLanes * kLanes, last = chunk.keys - 1;
  const int64_t ahead = kKeys + kFetchBytes / (dim * static_cast<int64_t>(sizeof(Element)));
  for (int64_t key = 0; key <= last; key += kKeys) {
    // Beyond the last key the last one is read again.
    const Element* row[kKeys];
    for (int j = 0; j < kKeys; ++j) row[j] = chunk.rows[key + j < last ? key + j : last];
    if (first_row == 0) {
      for (int j = 0; j < kKeys; ++j) chunk.fetch(key + ahead + j, 0, dim);
    }
    Square sum = {};
    const auto add = [&](int64_t e, auto load_keys) {
      Floats query[kRows];
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) query[r] = load(queries + r * scratch.query_row + e);
#pragma GCC unroll 16
      for (int j = 0; j < kKeys; ++j) {
        const Floats k = load_keys(row[j] + e);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          sum.row[r * kKeys + j] = fma(query[r], k, sum.row[r * kKeys + j]);
        }
      }
    };
    for (int64_t e = 0; e < whole; e += kLanes) {
      add(e, [](const Element* p) { return load(p); });
    }
    if (whole < dim) {
      add(whole, [&](const Element* p) { return load_partial(p, dim - whole); });
    }
    const Floats sums = sum_rows(sum);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      memcpy(scores + r * scratch.score_row + key,
             reinterpret_cast<const char*>(&sums) + r * kKeys * 4, kKeys * sizeof(float));
    }
  }
}

// ---- weighted values -----------------------------------------------------------------------------

/// Fetches the next chunk while this one is used, piece by piece in the order in which they lie: other
/// orders, such as that of the columns in work, keep the memory from reading ahead by itself.
template <class Element>
struct ChunkFetch {
  const KeyChunk<Element>& chunk;
  int64_t piece, dim;                    // elements of a piece and of a row
  int64_t row = kChunkKeys, column = 0;  // of the next piece

  FOVEA_INLINE void next() {
    chunk.fetch(row, column, piece);
    column += piece;
    if (column >= dim) {
      column = 0;
      ++row;
    }
  }
};

/// values[r] += weights[r] times the rows, kVectors vectors of them.
template <int kRows, int kVectors, class Element>
FOVEA_INLINE void add_value_block(const DecodeScratch& scratch, int64_t first_row, int64_t column,
                                  int64_t lanes, const float* weights,
                                  const KeyChunk<Element>& chunk, ChunkFetch<Element>& fetch) {
  weights += first_row * scratch.score_row;
  float* values = scratch.values + first_row * scratch.value_row + column;
  Floats sum[kRows][kVectors] = {};
  for (int64_t key = 0; key < chunk.keys; ++key) {
    const Element* row = chunk.rows[key] + column;
    if (first_row == 0) fetch.next();
    Floats value[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      value[j] =
          kVectors > 1 || lanes >= kLanes ? load(row + j * kLanes) : load_partial(row, lanes);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const Floats weight = broadcast(weights[r * scratch.score_row + key]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[r][j] = fma(weight, value[j], sum[r][j]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      float* at = values + r * scratch.value_row + j * kLanes;
      store(at, load(at) + sum[r][j]);
    }
  }
}

// Sums of four rows, a block's values and a weight must fit the registers: 16 with AVX2 and SSE2.
#if FOVEA_SIMD_LANES == 16 || defined(FOVEA_SIMD_NEON)
constexpr int kValueVectors = 4;
#else
constexpr int kValueVectors = 2;
#endif

template <int kRows, class Element>
__attribute__((noinline)) void add_value_rows(const DecodeScratch& scratch, int64_t first_row,
                                              int64_t dim, const float* weights,
                                              const KeyChunk<Element>& chunk) {
  int64_t column = 0;
  constexpr int64_t kColumns = kValueVectors * kLanes;
  ChunkFetch<Element> fetch{chunk, kColumns, dim};
  for (; column + kColumns <= dim; column += kColumns) {
    add_value_block<kRows, kValueVectors>(scratch, first_row, column, kLanes, weights, chunk,
                                          fetch);
  }
  for (; column < dim; column += kLanes) {
    add_value_block<kRows, 1>(scratch, first_row, column, dim - column, weights, chunk, fetch);
  }
}

/// f(rows, first row) with rows as a constant: 4 as long as there are so many, then 2, then 1.
template <class F>
FOVEA_INLINE void by_rows(int64_t rows, F f) {
  int64_t first = 0;
  for (; rows - first >= 4; first += 4) f.template operator()<4>(first);
  if (rows - first >= 2) {
    f.template operator()<2>(first);
    first += 2;
  }
  if (rows > first) f.template operator()<1>(first);
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
