// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/decode_products-inl.h"
#include "cpu/attention/rows-inl.h"

/// Few queries on many keys: what limits it is reading keys and values, so they are read where they lie,
/// once for all query heads that share them, widened in registers, without packing. Keys are cut into
/// pieces of fixed length, whose results are merged in order. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

// ---- one piece -----------------------------------------------------------------------------------

class DecodeKernel {
 public:
  DecodeKernel(const DecodeCall& decode, const DecodePiece& piece, const DecodeScratch& scratch,
               TileMachine* machine, TileMachine* weight_machine)
      : decode_(decode),
        call_(decode.call),
        piece_(piece),
        scratch_(scratch),
        machine_(machine),
        weight_machine_(weight_machine),
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
    for_each_chunk(piece_.keys, [&](const auto& chunk) { dot(chunk); });
    apply_program();
    for (int64_t r = 0; r < rows_; ++r) {
      scratch_.reference[r] = scratch_.largest[r] = -kInfinity;
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
                              .unit = unit_,
                              .largest = scratch_.largest};
    softmax<false>(weights, false, exact);
    change_weights();
    memset(scratch_.values, 0, static_cast<size_t>(rows_ * scratch_.value_row) * sizeof(float));
    for_each_chunk(piece_.values, [&](const auto& chunk) {
      exact ? add_values_exactly(chunk) : add_values(chunk);
    });
  }

  /// The keys of the segments.
  template <class F>
  void for_each_chunk(const HeadRows& rows, F f) const {
    with_elements(rows.dtype, rows.from, [&]<class Element>(const Element* from) {
      const Element* at[2 * kChunkKeys];
      for (int64_t i = 0; i < segment_count_; ++i) {
        const DecodeSegment& segment = scratch_.segments[i];
        for (int64_t key = segment.begin; key < segment.end; key += kChunkKeys) {
          const int64_t left = segment.end - key;
          const int64_t known = left < 2 * kChunkKeys ? left : 2 * kChunkKeys;
          rows_of_keys(rows, from, key, known, at);
          f(KeyChunk<Element>{key, left < kChunkKeys ? left : kChunkKeys, known, at});
        }
      }
    });
  }

  float* score(int64_t row, int64_t key) const {
    return scratch_.scores + row * scratch_.score_row + (key - piece_.first);
  }

  template <class Element>
  void dot(const KeyChunk<Element>& chunk) {
    by_rows(rows_, [&]<int kRows>(int64_t first) {
      dot_rows<kRows>(scratch_, first, call_.head_dim, chunk, score(first, chunk.key));
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

  void change_weights() {
    if (weight_machine_ == nullptr) return;
    int64_t row = 0;
    for (int64_t s = 0; s < piece_.set_count; row += piece_.sets[s].rows, ++s) {
      weight_machine_->begin_head(piece_.b, piece_.sets[s].h);
      weight_machine_->begin_rows(piece_.sets[s].q0, piece_.sets[s].rows);
      for (int64_t i = 0; i < segment_count_; ++i) {
        const DecodeSegment& segment = scratch_.segments[i];
        weight_machine_->run(segment.begin, segment.end - segment.begin, score(row, segment.begin),
                             scratch_.score_row, false);
      }
    }
  }

  void hide(int64_t row, int64_t rows, int64_t begin, int64_t end) {
    for (int64_t r = row; r < row + rows; ++r) {
      for (int64_t key = begin; key < end; ++key) *score(r, key) = -kInfinity;
    }
  }

  template <class Element>
  void add_values(const KeyChunk<Element>& chunk) {
    by_rows(rows_, [&]<int kRows>(int64_t first) {
      add_value_rows<kRows>(scratch_, first, call_.value_dim, score(0, chunk.key), chunk);
    });
  }

  /// Key by key, leaving out those with weight 0: 0 * inf and 0 * NaN must not reach a row that may
  /// not see the key.
  template <class Element>
  void add_values_exactly(const KeyChunk<Element>& chunk) {
    for (int64_t i = 0; i < chunk.keys; ++i) {
      const Element* value = chunk.rows[i];
      for (int64_t r = 0; r < rows_; ++r) {
        const float weight = *score(r, chunk.key + i);
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
    partial[2] = seen ? scratch_.largest[r] : -kInfinity;
    if (!seen) return;
    memcpy(partial + DecodeCall::kHeader, scratch_.values + r * scratch_.value_row,
           static_cast<size_t>(call_.value_dim) * sizeof(float));
  }

  const DecodeCall& decode_;
  const ForwardCall& call_;
  const DecodePiece& piece_;
  const DecodeScratch& scratch_;
  TileMachine* machine_;         // or nullptr
  TileMachine* weight_machine_;  // or nullptr
  const float unit_;
  int64_t rows_ = 0, segment_count_ = 0;
};

size_t decode_scratch(const DecodeCall& decode) { return DecodeScratch(decode, nullptr).bytes; }

/// Calls f(machine), or f(nullptr) where there is nothing to run.
template <class F>
void with_decode_machine(const ForwardCall& call, const TileProgram* program,
                         const TileBinding* binding, void* memory, F f) {
  if (program == nullptr) return f(nullptr);
  TileMachine machine(*program, *binding, memory, call.max_rows, kDecodePiece);
  f(&machine);
}

void decode(const DecodeCall& decode, const DecodePiece& piece, void* memory) {
  const ForwardCall& call = decode.call;
  const DecodeScratch scratch(decode, memory);
  with_decode_machine(call, call.program, call.binding, scratch.machine, [&](TileMachine* scores) {
    with_decode_machine(
        call, call.weight_program, call.weight_binding, scratch.weight_machine,
        [&](TileMachine* weights) { DecodeKernel(decode, piece, scratch, scores, weights).run(); });
  });
}

/// A row from its pieces, in their order. References are whole numbers (or too large to matter), so that
/// powers of two bring the pieces together without rounding.
void decode_merge(const DecodeCall& decode, const DecodeMerge& merge, void* memory) {
  const ForwardCall& call = decode.call;
  float* total = DecodeScratch(decode, memory).values;
  float reference = __builtin_ceilf(merge.sink), largest = -kInfinity;
  for (int64_t p = 0; p < merge.pieces; ++p) {
    const float* partial = merge.partial + p * merge.partial_piece;
    if (partial[0] > reference) reference = partial[0];
    if (partial[2] > largest) largest = partial[2];
  }
  float sum = merge.sink == -kInfinity ? 0.0f : exp2(broadcast(merge.sink - reference))[0];
  for (int64_t e = 0; e < call.value_dim; e += kLanes) store(total + e, Floats{});
  for (int64_t p = 0; p < merge.pieces; ++p) {
    const float* partial = merge.partial + p * merge.partial_piece;
    if (partial[1] == 0.0f) continue;  // no key that the row may see
    // Infinite sums stay so, however small their weight.
    const Floats factor = max(broadcast(kSmallest), exp2(broadcast(partial[0] - reference)));
    sum += partial[1] * factor[0];
    for (int64_t e = 0; e < call.value_dim; e += kLanes) {
      store(total + e, fma(load(partial + DecodeCall::kHeader + e), factor, load(total + e)));
    }
  }
  store_out(call, merge.b, merge.h, merge.row, total, sum == 0.0f ? 0.0f : 1.0f / sum);
  store_lse(call, merge.b, merge.h, merge.row, reference, sum);
  store_largest(call, merge.b, merge.h, merge.row, largest, sum);
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
