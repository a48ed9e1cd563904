// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/forward-inl.h"
#include "cpu/attention/kernels.h"
#include "cpu/attention/rows-inl.h"
#include "cpu/transpose.h"

/// Few queries on many keys: what limits it is reading keys and values, so they are read where they lie,
/// once for all query heads that share them, widened in registers, without packing. Keys are cut into
/// pieces of fixed length, whose results are merged in order. For kernel sources only, as simd.h.
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
  float *queries, *scores, *values, *reference, *sum;
  uint8_t* kinds;           // a column of the mask's blocks: a kind a set
  DecodeSegment* segments;  // at most as many as columns
  void* machine;
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
    kinds = static_cast<uint8_t*>(take(base, columns * kMaxDecodeRows));
    segments = static_cast<DecodeSegment*>(
        take(base, columns * static_cast<int64_t>(sizeof(DecodeSegment))));
    machine = base == nullptr ? nullptr : base + bytes;
    if (call.program != nullptr) {
      bytes += TileMachine::scratch_bytes(*call.program, call.max_rows, kDecodePiece);
    }
    bytes = (bytes + 63) / 64 * 64;
  }

 private:
  void* take(char* base, int64_t size) {
    char* at = base == nullptr ? nullptr : base + bytes;
    bytes += (static_cast<size_t>(size) + 63) / 64 * 64;
    return at;
  }
};

// ---- scores --------------------------------------------------------------------------------------

// How far ahead rows are fetched.
constexpr int64_t kFetchBytes = 4096;

/// Scores of kRows rows against `keys` keys: scores[r * score_row + key]. Writes up to kLanes / kRows keys
/// more.
template <int kRows, class Element>
__attribute__((noinline)) void dot_rows(const DecodeScratch& scratch, int64_t first_row,
                                        int64_t dim, const Element* data, int64_t stride,
                                        int64_t keys, float* scores) {
  constexpr int kKeys = kLanes / kRows;
  const float* queries = scratch.queries + first_row * scratch.query_row;
  const int64_t whole = dim / kLanes * kLanes;
  const int64_t row_bytes = dim * static_cast<int64_t>(sizeof(Element));
  const int64_t ahead = kKeys + kFetchBytes / (row_bytes + 1);
  for (int64_t key = 0; key < keys; key += kKeys, data += kKeys * stride) {
    // Beyond the last key the last one is read again.
    const int64_t last = keys - key - 1;
    const Element* row[kKeys];
    for (int j = 0; j < kKeys; ++j) row[j] = data + (j < last ? j : last) * stride;
    if (first_row == 0) {
      for (int j = 0; j < kKeys; ++j) {
        const auto* next = reinterpret_cast<const char*>(data + (ahead + j) * stride);
        for (int64_t i = 0; i < row_bytes; i += 64) __builtin_prefetch(next + i, 0, 3);
      }
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

// Keys whose values are added before the next columns: they stay in the first-level cache.
constexpr int64_t kValueKeys = 64;

/// values[r] += weights[r] times `keys` rows, `kVectors` vectors of them.
template <int kRows, int kVectors, class Element>
FOVEA_INLINE void add_value_block(const DecodeScratch& scratch, int64_t first_row, int64_t column,
                                  int64_t lanes, const float* weights, const Element* data,
                                  int64_t stride, int64_t keys) {
  weights += first_row * scratch.score_row;
  float* values = scratch.values + first_row * scratch.value_row + column;
  Floats sum[kRows][kVectors] = {};
  data += column;
  for (int64_t key = 0; key < keys; ++key, data += stride) {
    if (first_row == 0) {
      const auto* next = reinterpret_cast<const char*>(data + kValueKeys * stride);
      for (int i = 0; i < kVectors * kLanes * static_cast<int>(sizeof(Element)); i += 64) {
        __builtin_prefetch(next + i, 0, 3);
      }
    }
    Floats value[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      value[j] =
          kVectors > 1 || lanes >= kLanes ? load(data + j * kLanes) : load_partial(data, lanes);
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

template <int kRows, class Element>
__attribute__((noinline)) void add_value_rows(const DecodeScratch& scratch, int64_t first_row,
                                              int64_t dim, const float* weights,
                                              const Element* data, int64_t stride, int64_t keys) {
  int64_t column = 0;
  for (; column + 4 * kLanes <= dim; column += 4 * kLanes) {
    add_value_block<kRows, 4>(scratch, first_row, column, kLanes, weights, data, stride, keys);
  }
  for (; column < dim; column += kLanes) {
    add_value_block<kRows, 1>(scratch, first_row, column, dim - column, weights, data, stride,
                              keys);
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

// ---- one piece -----------------------------------------------------------------------------------

class DecodeKernel {
 public:
  DecodeKernel(const DecodeCall& decode, const DecodePiece& piece, const DecodeScratch& scratch,
               TileMachine* machine)
      : decode_(decode),
        call_(decode.call),
        piece_(piece),
        scratch_(scratch),
        machine_(machine),
        unit_(call_.has_score_mod ? kLog2E : 1.0f) {
    for (int64_t s = 0; s < piece.set_count; ++s) rows_ += piece.sets[s].rows;
  }

  void run() {
    find_segments();
    if (segment_count_ > 0) {
      with_elements(call_.query.dtype, call_.query.data,
                    [&](const auto* data) { load_queries(data); });
      compute(false);
      if (!finite()) compute(true);
    }
    for (int64_t r = 0; r < rows_; ++r) store_partial_result(r);
  }

 private:
  // ---- which keys ----

  void find_segments() {
    if (!call_.has_mask) {
      if (piece_.first == piece_.last) return;
      memset(scratch_.kinds, kFullKeys, kMaxDecodeRows);
      scratch_.segments[segment_count_++] = {piece_.first, piece_.last, scratch_.kinds};
      return;
    }
    const int64_t block = call_.mask_block, first = piece_.first / block;
    const int64_t columns = (piece_.last + block - 1) / block - first;
    memset(scratch_.kinds, kSkippedKeys, static_cast<size_t>(columns * kMaxDecodeRows));
    for (int64_t s = 0; s < piece_.set_count; ++s) {
      const DecodeRows& set = piece_.sets[s];
      mark(set.full, set.full_runs, kFullKeys, first, columns, s);
      mark(set.partial, set.partial_runs, kPartialKeys, first, columns, s);
    }
    for (int64_t c = 0; c < columns;) {
      const uint8_t* kinds = scratch_.kinds + c * kMaxDecodeRows;
      int64_t end = c + 1;
      while (end < columns &&
             memcmp(kinds, scratch_.kinds + end * kMaxDecodeRows, kMaxDecodeRows) == 0) {
        ++end;
      }
      if (any_row_sees(kinds)) {
        const int64_t from = (first + c) * block, to = (first + end) * block;
        scratch_.segments[segment_count_++] = {from < piece_.first ? piece_.first : from,
                                               to < piece_.last ? to : piece_.last, kinds};
      }
      c = end;
    }
  }

  void mark(const BlockRun* runs, int64_t count, uint8_t kind, int64_t first, int64_t columns,
            int64_t set) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t begin = runs[i].begin - first, end = runs[i].end - first;
      for (int64_t c = begin < 0 ? 0 : begin; c < end && c < columns; ++c) {
        scratch_.kinds[c * kMaxDecodeRows + set] = kind;
      }
    }
  }

  bool any_row_sees(const uint8_t* kinds) const {
    for (int64_t s = 0; s < piece_.set_count; ++s) {
      if (kinds[s] != kSkippedKeys) return true;
    }
    return false;
  }

  int64_t first_key() const { return scratch_.segments[0].begin; }
  int64_t last_key() const { return scratch_.segments[segment_count_ - 1].end; }

  // ---- what is done with them ----

  template <class Element>
  void load_queries(const Element* data) {
    const Tensor4& q = call_.query;
    const float scale = call_.has_score_mod ? call_.scale : call_.scale * kLog2E;
    float* to = scratch_.queries;
    for (int64_t s = 0; s < piece_.set_count; ++s) {
      const DecodeRows& set = piece_.sets[s];
      const Element* from =
          data + piece_.b * q.batch + set.h * q.head + (piece_.q_first + set.q0) * q.row;
      for (int64_t r = 0; r < set.rows; ++r, from += q.row, to += scratch_.query_row) {
        for (int64_t e = 0; e < scratch_.query_row; ++e) {
          to[e] = e < call_.head_dim ? load_one(from + e * q.column) * scale : 0.0f;
        }
      }
    }
  }

  /// `exact`: with weights of 0 only for keys that a row may not see, whose values are not read.
  void compute(bool exact) {
    for_each_stretch(piece_.keys,
                     [&](int64_t key, int64_t keys, const auto* rows) { dot(key, keys, rows); });
    apply_program();
    for (int64_t r = 0; r < rows_; ++r) {
      scratch_.reference[r] = -kInfinity;
      store(scratch_.sum + r * kLanes, Floats{});
    }
    const SoftmaxRows weights{.rows = rows_,
                              .keys = last_key() - first_key(),
                              .scores = score(0, first_key()),
                              .score_row = scratch_.score_row,
                              .values = scratch_.values,
                              .value_row = scratch_.value_row,
                              .reference = scratch_.reference,
                              .sum = scratch_.sum,
                              .unit = unit_};
    softmax<false>(weights, false, exact);
    memset(scratch_.values, 0, static_cast<size_t>(rows_ * scratch_.value_row) * sizeof(float));
    for_each_stretch(piece_.values, [&](int64_t key, int64_t keys, const auto* value) {
      exact ? add_values_exactly(key, keys, value) : add_values(key, keys, value);
    });
  }

  /// f(first key, keys, its row) for keys of the segments whose rows lie equally far apart.
  template <class F>
  void for_each_stretch(const HeadRows& rows, F f) const {
    with_elements(rows.dtype, rows.from, [&](const auto* from) {
      for (int64_t i = 0; i < segment_count_; ++i) {
        const DecodeSegment& segment = scratch_.segments[i];
        for (int64_t key = segment.begin; key < segment.end;) {
          const int64_t keys = keys_together(rows, key, segment.end);
          f(key, keys, row_of_key(rows, from, key));
          key += keys;
        }
      }
    });
  }

  float* score(int64_t row, int64_t key) const {
    return scratch_.scores + row * scratch_.score_row + (key - piece_.first);
  }

  template <class Element>
  void dot(int64_t key, int64_t keys, const Element* rows) {
    by_rows(rows_, [&]<int kRows>(int64_t first) {
      dot_rows<kRows>(scratch_, first, call_.head_dim, rows, piece_.keys.row, keys,
                      score(first, key));
    });
  }

  /// Scores as the program leaves them; -inf where a set of rows skips a segment, and between segments.
  void apply_program() {
    int64_t row = 0;
    for (int64_t s = 0; s < piece_.set_count; row += piece_.sets[s].rows, ++s) {
      const DecodeRows& set = piece_.sets[s];
      if (machine_ != nullptr) {
        machine_->begin_head(piece_.b, set.h);
        machine_->begin_rows(set.q0, set.rows);
      }
      int64_t done = first_key();
      for (int64_t i = 0; i < segment_count_; ++i) {
        const DecodeSegment& segment = scratch_.segments[i];
        const uint8_t kind = segment.kinds[s];
        hide(row, set.rows, done, kind == kSkippedKeys ? segment.end : segment.begin);
        done = segment.end;
        if (machine_ == nullptr || kind == kSkippedKeys) continue;
        machine_->run(segment.begin, segment.end - segment.begin, score(row, segment.begin),
                      scratch_.score_row, kind == kPartialKeys);
      }
    }
  }

  void hide(int64_t row, int64_t rows, int64_t begin, int64_t end) {
    for (int64_t r = row; r < row + rows; ++r) {
      for (int64_t key = begin; key < end; ++key) *score(r, key) = -kInfinity;
    }
  }

  template <class Element>
  void add_values(int64_t key, int64_t keys, const Element* rows) {
    for (; keys > 0; keys -= kValueKeys, key += kValueKeys) {
      const int64_t count = keys < kValueKeys ? keys : kValueKeys;
      by_rows(rows_, [&]<int kRows>(int64_t first) {
        add_value_rows<kRows>(scratch_, first, call_.value_dim, score(0, key), rows,
                              piece_.values.row, count);
      });
      rows += kValueKeys * piece_.values.row;
    }
  }

  /// Key by key, leaving out those with weight 0: 0 * inf and 0 * NaN must not reach a row that may
  /// not see the key.
  template <class Element>
  void add_values_exactly(int64_t key, int64_t keys, const Element* value) {
    for (const int64_t end = key + keys; key < end; ++key, value += piece_.values.row) {
      for (int64_t r = 0; r < rows_; ++r) {
        const float weight = *score(r, key);
        if (weight == 0.0f) continue;
        float* to = scratch_.values + r * scratch_.value_row;
        for (int64_t e = 0; e < call_.value_dim; e += kLanes) {
          const int64_t left = call_.value_dim - e;
          const Floats v = left >= kLanes ? load(value + e) : load_partial(value + e, left);
          store(to + e, fma(broadcast(weight), v, load(to + e)));
        }
      }
    }
  }

  bool finite() const {
    Floats check = {};
    for (int64_t i = 0; i < rows_ * scratch_.value_row; i += kLanes) {
      check = fma(load(scratch_.values + i), Floats{}, check);
    }
    return !any(check != 0.0f);
  }

  void store_partial_result(int64_t r) {
    float* partial = piece_.partial + r * decode_.partial_row();
    const bool seen = segment_count_ > 0;
    partial[0] = seen ? scratch_.reference[r] : -kInfinity;
    partial[1] = seen ? hsum(load(scratch_.sum + r * kLanes)) : 0.0f;
    if (!seen) return;
    memcpy(partial + DecodeCall::kHeader, scratch_.values + r * scratch_.value_row,
           static_cast<size_t>(call_.value_dim) * sizeof(float));
  }

  const DecodeCall& decode_;
  const ForwardCall& call_;
  const DecodePiece& piece_;
  const DecodeScratch& scratch_;
  TileMachine* machine_;
  const float unit_;
  int64_t rows_ = 0, segment_count_ = 0;
};

size_t decode_scratch(const DecodeCall& decode) { return DecodeScratch(decode, nullptr).bytes; }

void decode(const DecodeCall& decode, const DecodePiece& piece, void* memory) {
  const ForwardCall& call = decode.call;
  const DecodeScratch scratch(decode, memory);
  if (call.program == nullptr) return DecodeKernel(decode, piece, scratch, nullptr).run();
  TileMachine machine(*call.program, *call.binding, scratch.machine, call.max_rows, kDecodePiece);
  DecodeKernel(decode, piece, scratch, &machine).run();
}

/// Row r of a key head from its pieces, in their order. References are whole numbers (or too large to matter),
/// so that powers of two bring the pieces together without rounding.
void decode_merge(const DecodeCall& decode, const DecodeMerge& merge, void* memory) {
  const ForwardCall& call = decode.call;
  float* total = DecodeScratch(decode, memory).values;
  for (int64_t r = merge.first_row; r < merge.last_row; ++r) {
    const float* pieces = merge.partial + r * decode.partial_row();
    float reference = -kInfinity, sum = 0;
    for (int64_t p = 0; p < merge.pieces; ++p) {
      const float x = pieces[p * merge.partial_piece];
      if (x > reference) reference = x;
    }
    for (int64_t e = 0; e < call.value_dim; e += kLanes) store(total + e, Floats{});
    for (int64_t p = 0; p < merge.pieces; ++p) {
      const float* partial = pieces + p * merge.partial_piece;
      if (partial[1] == 0.0f) continue;  // no key that the row may see
      // Infinite sums stay so, however small their weight.
      const Floats factor = max(broadcast(kSmallest), exp2(broadcast(partial[0] - reference)));
      sum += partial[1] * factor[0];
      for (int64_t e = 0; e < call.value_dim; e += kLanes) {
        store(total + e, fma(load(partial + DecodeCall::kHeader + e), factor, load(total + e)));
      }
    }
    store_row(call, merge.b, merge.first_head + r / merge.q_len, merge.q_first + r % merge.q_len,
              total, reference, sum);
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
