// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/kernels.h"
#include "cpu/attention/softmax-inl.h"
#include "cpu/attention/tile_machine-inl.h"
#include "cpu/microkernel.h"

/// The forward pass of one tile of queries: for each step of keys, scores, program, softmax, weighted
/// values. Products are of f32, or of pairs of bf16; sums are f32. For kernel sources only, as simd.h.
///
/// Every row is computed by itself, in an order that the mask and key_step fix; how rows are grouped
/// into tiles and blocks changes no bit of the result.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

constexpr int64_t elements_of_word(float) { return 1; }
constexpr int64_t elements_of_word(int32_t) { return 2; }

/// Element `i` of each word, as f32.
FOVEA_INLINE Floats element_of(Floats word, int64_t) { return word; }
FOVEA_INLINE Floats element_of(Ints word, int64_t i) {
  return as_floats(i == 0 ? word << 16 : word & broadcast(static_cast<int32_t>(0xffff0000)));
}

FOVEA_INLINE int64_t vectors_of(int64_t n) { return (n + kLanes - 1) / kLanes; }

/// A factor of 0 gives 0, whatever the values are.
template <class Element>
FOVEA_INLINE void store_values(const float* values, float factor, int64_t count, Element* out,
                               int64_t column) {
  for (int64_t e = 0; e < count; e += kLanes) {
    const int64_t left = count - e;
    const Floats v = factor == 0.0f ? Floats{} : load(values + e) * factor;
    if (column != 1) {
      for (int64_t i = 0; i < kLanes && i < left; ++i) store_one(out + (e + i) * column, v[i]);
    } else if (left >= kLanes) {
      store(out + e, v);
    } else {
      store_partial(out + e, v, left);
    }
  }
}

/// A row of the output: values * factor.
FOVEA_INLINE void store_out(const ForwardCall& call, int64_t b, int64_t h, int64_t row,
                            const float* values, float factor) {
  with_elements(call.out_dtype, call.out, [&](auto* out) {
    store_values(values, factor, call.value_dim,
                 out + b * call.out_batch + h * call.out_head + row * call.out_row,
                 call.out_column);
  });
}

FOVEA_INLINE void store_number(const RowOutput& to, int64_t b, int64_t h, int64_t row, float x) {
  if (to.data != nullptr) to.data[b * to.batch + h * to.head + row * to.row] = x;
}

/// Of weights relative to 2^reference that add up to `sum`. The logarithm costs as much as the rest of a short
/// row, and is left out where nobody wants it.
FOVEA_INLINE void store_lse(const ForwardCall& call, int64_t b, int64_t h, int64_t row,
                            float reference, float sum) {
  if (call.lse.data == nullptr) return;
  const float lse = sum == 0.0f ? -kInfinity : reference * kLn2 + log(broadcast(sum))[0];
  store_number(call.lse, b, h, row, lse);
}

/// The largest score, in base 2 without a score_mod; a NaN among the scores is in the sum for certain.
FOVEA_INLINE void store_largest(const ForwardCall& call, int64_t b, int64_t h, int64_t row,
                                float largest, float sum) {
  const float score = call.has_score_mod ? largest : largest * kLn2;
  store_number(call.max_scores, b, h, row, sum != sum && score < kInfinity ? sum : score);
}

/// One worker's memory.
struct ForwardScratch {
  int64_t score_row, value_row;  // floats from row to row
  float *queries, *norms, *scores, *values, *reference, *sum, *largest, *panels;
  void *machine, *weight_machine;
  size_t bytes;

  /// With memory == nullptr only `bytes` counts.
  ForwardScratch(const ForwardCall& call, void* memory) {
    // A step may begin and end inside a vector. The odd vector keeps rows off the same cache sets.
    score_row = (vectors_of(call.key_step) + 2) * kLanes + 16;
    value_row = vectors_of(call.value_dim) * kLanes;
    bytes = 0;
    char* base = static_cast<char*>(memory);
    queries = take(base, call.max_rows * call.head_dim);
    norms = take(base, call.max_rows);
    scores = take(base, call.max_rows * score_row);
    values = take(base, call.max_rows * value_row);
    reference = take(base, call.max_rows);
    sum = take(base, call.max_rows * kLanes);
    largest = take(base, call.max_rows);
    const int64_t columns = (call.value_dim + kBlockColumns - 1) / kBlockColumns * kBlockColumns;
    panels = take(base, call.copies_values ? call.key_step * columns : 0);
    machine = take_machine(base, call, call.program);
    weight_machine = take_machine(base, call, call.weight_program);
  }

 private:
  void* take_machine(char* base, const ForwardCall& call, const TileProgram* program) {
    if (program == nullptr) return nullptr;
    const size_t needed = TileMachine::scratch_bytes(*program, call.max_rows, call.key_step);
    return take(base, static_cast<int64_t>(needed / sizeof(float)));
  }

  float* take(char* base, int64_t floats) {
    char* at = base == nullptr ? nullptr : base + bytes;
    bytes += (static_cast<size_t>(floats) * sizeof(float) + 63) / 64 * 64;
    return reinterpret_cast<float*>(at);
  }
};

/// Word: what products read, f32 or (as int32_t) pairs of bf16.
template <class Word>
class ForwardKernel {
 public:
  ForwardKernel(const ForwardCall& call, const ForwardTile& tile, const ForwardScratch& scratch,
                TileMachine* machine, TileMachine* weight_machine)
      : call_(call),
        tile_(tile),
        scratch_(scratch),
        machine_(machine),
        weight_machine_(weight_machine) {
    // Without a score_mod the scores are in base 2 from the start.
    unit_ = call.has_score_mod ? kLog2E : 1.0f;
  }

  void run() {
    const float scale = call_.has_score_mod ? call_.scale : call_.scale * kLog2E;
    if constexpr (kPairs) {
      score_factor_ = scale;  // queries keep the bits that they have
      copy_queries();
    } else {
      with_elements(call_.query.dtype, call_.query.data,
                    [&](const auto* data) { load_queries(data, scale); });
    }
    start_rows();
    if (call_.two_passes) {
      pass_ = Pass::sums;
      walk_keys();
      pass_ = Pass::values;
    }
    walk_keys();
    for (int64_t r = 0; r < tile_.rows; ++r) finish_row(r);
  }

 private:
  static constexpr int64_t kPerWord = elements_of_word(Word{});
  static constexpr bool kPairs = kPerWord == 2;

  /// What a walk over the keys is for: the sums of the softmax, the weighted values, or both.
  enum class Pass : uint8_t { both, sums, values };

  int64_t query_words() const { return (call_.head_dim + kPerWord - 1) / kPerWord; }

  template <class Element>
  const Element* first_query(const Element* data) const {
    const Tensor4& q = call_.query;
    return data + tile_.b * q.batch + tile_.h * q.head + (tile_.q_first + tile_.q0) * q.row;
  }

  template <class Element>
  void load_queries(const Element* data, float scale) {
    const Tensor4& q = call_.query;
    const Element* from = first_query(data);
    float* to = scratch_.queries;
    for (int64_t r = 0; r < tile_.rows; ++r, from += q.row, to += call_.head_dim) {
      int64_t k = 0;
      for (; q.column == 1 && k + kLanes <= call_.head_dim; k += kLanes) {
        store(to + k, load(from + k) * scale);
      }
      for (; k < call_.head_dim; ++k) to[k] = load_one(from + k * q.column) * scale;
      scratch_.norms[r] = norm_of(to);
    }
  }

  void copy_queries() {
    const Tensor4& q = call_.query;
    const BFloat16* from = first_query(static_cast<const BFloat16*>(q.data));
    auto* to = reinterpret_cast<BFloat16*>(scratch_.queries);
    for (int64_t r = 0; r < tile_.rows; ++r, from += q.row, to += 2 * query_words()) {
      if (q.column == 1) {
        memcpy(to, from, static_cast<size_t>(call_.head_dim) * sizeof *to);
      } else {
        for (int64_t k = 0; k < call_.head_dim; ++k) to[k].bits = from[k * q.column].bits;
      }
      if (call_.head_dim % 2 != 0) to[call_.head_dim].bits = 0;
      scratch_.norms[r] = norm_of(to) * __builtin_fabsf(score_factor_);
    }
  }

  template <class Element>
  float norm_of(const Element* row) const {
    Floats squares = {};
    int64_t k = 0;
    for (; k + kLanes <= call_.head_dim; k += kLanes) {
      const Floats x = load(row + k);
      squares = fma(x, x, squares);
    }
    float sum = hsum(squares);
    for (; k < call_.head_dim; ++k) sum += load_one(row + k) * load_one(row + k);
    return __builtin_sqrtf(sum);
  }

  /// The largest norm of these keys, or infinity: scores are not what the product says, or chunks hold
  /// other keys, too (a key that is hidden must not decide how a row is computed).
  float largest_key_norm(int64_t kv, int64_t keys, bool masked) const {
    const bool whole =
        kv % kFiniteChunk == 0 && (keys % kFiniteChunk == 0 || kv + keys == tile_.kv_len);
    if (masked || call_.has_score_mod || call_.max_scores.data != nullptr || !whole)
      return kInfinity;
    float largest = 0.0f;
    for (int64_t c = kv / kFiniteChunk; c * kFiniteChunk < kv + keys; ++c) {
      const float norm = tile_.head.key_norms[c];
      if (norm > largest) largest = norm;
    }
    return largest;
  }

  /// The sink is there from the start, as if a step before had seen it.
  void start_rows() {
    const float reference = __builtin_ceilf(tile_.sink);
    Floats sum = {};
    if (tile_.sink != -kInfinity) sum[0] = exp2(broadcast(tile_.sink - reference))[0];
    for (int64_t r = 0; r < tile_.rows; ++r) {
      scratch_.reference[r] = reference;
      store(scratch_.sum + r * kLanes, sum);
      scratch_.largest[r] = -kInfinity;
    }
  }

  void walk_keys() {
    if (!call_.has_mask) {
      walk(0, tile_.kv_len, false);
    } else {
      walk_runs(tile_.full, tile_.full_runs, false);
      walk_runs(tile_.partial, tile_.partial_runs, true);
    }
  }

  void walk_runs(const BlockRun* runs, int64_t count, bool masked) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t end = runs[i].end * call_.mask_block;
      walk(runs[i].begin * call_.mask_block, end < tile_.kv_len ? end : tile_.kv_len, masked);
    }
  }

  void walk(int64_t begin, int64_t end, bool masked) {
    for (int64_t kv = begin; kv < end; kv += call_.key_step) {
      step(kv, end - kv < call_.key_step ? end - kv : call_.key_step, masked);
    }
  }

  /// Keys [kv, kv + keys).
  void step(int64_t kv, int64_t keys, bool masked) {
    const int64_t offset = kv % kLanes;
    multiply_keys(kv - offset, vectors_of(offset + keys), keys);
    float* scores = scratch_.scores + offset;
    if (machine_ != nullptr) machine_->run(kv, keys, scores, scratch_.score_row, masked);
    const bool exact = holds_not_finite(kv, keys);
    SoftmaxRows rows{.rows = tile_.rows,
                     .keys = keys,
                     .scores = scores,
                     .score_row = scratch_.score_row,
                     .values = scratch_.values,
                     .value_row = scratch_.value_row,
                     .reference = scratch_.reference,
                     .sum = scratch_.sum,
                     .unit = unit_,
                     .norms = scratch_.norms,
                     .key_norm = largest_key_norm(kv, keys, masked),
                     .largest = call_.max_scores.data == nullptr ? nullptr : scratch_.largest};
    if constexpr (kPairs) rows.rounded = reinterpret_cast<BFloat16*>(scratch_.scores) + kv % 2;
    if (pass_ == Pass::values) {
      normalized_weights(rows);
    } else if (weight_machine_ == nullptr) {
      softmax<kPairs>(rows, started_, exact);
    } else {
      softmax<false>(rows, started_, exact);
    }
    if (pass_ == Pass::sums) return;
    if (weight_machine_ != nullptr) {
      weight_machine_->run(kv, keys, scores, scratch_.score_row, false);
      if (kPairs && !exact) round_rows(rows);
    }
    if (exact) {
      add_values_exactly(kv, keys, scores);
    } else {
      multiply_values(kv, keys, scores);
    }
    started_ = true;
  }

  void multiply_keys(int64_t first_key, int64_t vectors, int64_t keys) {
    const PackedHead& head = tile_.head;
    const bool fetch_values = head.value_row == kBlockColumns;
    const MatrixOperands<Word> m{
        .a = reinterpret_cast<const Word*>(scratch_.queries),
        .a_row = query_words(),
        .a_k = 1,
        .b = static_cast<const Word*>(head.keys),
        .b_k = kBlockColumns,
        .b_panel = query_words() * kBlockColumns,
        .c = scratch_.scores,
        .c_row = scratch_.score_row,
        .then = static_cast<const Word*>(head.values) + first_key / kPerWord * head.value_row,
        .then_words = fetch_values ? keys / kPerWord * kBlockColumns : 0,
        .factor = score_factor_};
    multiply<kPairs ? Update::scale : Update::overwrite>(tile_.rows, query_words(),
                                                         first_key / kLanes, vectors, m);
  }

  void multiply_values(int64_t kv, int64_t keys, const float* scores) {
    const PackedHead& head = tile_.head;
    const int64_t panel_words = query_words() * kBlockColumns;
    const int64_t words = kPairs ? join_weights(kv, keys) : keys;
    const bool copied = !kPairs && head.value_row != kBlockColumns;
    if (copied) copy_values(kv, keys);
    const MatrixOperands<Word> m{
        .a = reinterpret_cast<const Word*>(kPairs ? scratch_.scores : scores),
        .a_row = scratch_.score_row,
        .a_k = 1,
        .b = copied ? reinterpret_cast<const Word*>(scratch_.panels)
                    : static_cast<const Word*>(head.values) + kv / kPerWord * head.value_row,
        .b_k = kBlockColumns,
        .b_panel = copied ? keys * kBlockColumns : head.value_panel,
        .c = scratch_.values,
        .c_row = scratch_.value_row,
        .then = static_cast<const Word*>(head.keys) + (kv + keys) / kBlockColumns * panel_words,
        .then_words = kv + keys < tile_.kv_len ? panel_words : 0};
    const int64_t vectors = vectors_of(call_.value_dim);
    if (started_) {
      multiply<Update::add>(tile_.rows, words, 0, vectors, m);
    } else {
      multiply<Update::overwrite>(tile_.rows, words, 0, vectors, m);
    }
  }

  /// Values that are read in place, as panels: their rows lie so far apart that few of a panel's lines fit
  /// the sets of the first-level cache, and every block of rows would fetch them anew.
  void copy_values(int64_t kv, int64_t keys) {
    const PackedHead& head = tile_.head;
    float* to = scratch_.panels;
    for (int64_t first = 0; first < call_.value_dim; first += kBlockColumns) {
      const float* from = static_cast<const float*>(head.values) + kv * head.value_row + first;
      const int64_t width = call_.value_dim - first;
      for (int64_t key = 0; key < keys; ++key, from += head.value_row, to += kBlockColumns) {
#pragma GCC unroll 4
        for (int64_t e = 0; e < kBlockColumns; e += kLanes) {
          store(to + e, e < width ? load(from + e) : Floats{});
        }
      }
    }
  }

  /// Completes the pairs of weights by zeros where the step begins or ends within one; their number.
  int64_t join_weights(int64_t kv, int64_t keys) {
    const int64_t before = kv % 2, end = before + keys;
    for (int64_t r = 0; r < tile_.rows; ++r) {
      auto* row = reinterpret_cast<BFloat16*>(scratch_.scores + r * scratch_.score_row);
      if (before != 0) row[0].bits = 0;
      if (end % 2 != 0) row[end].bits = 0;
    }
    return (end + 1) / 2;
  }

  bool holds_not_finite(int64_t kv, int64_t keys) const {
    for (int64_t c = kv / kFiniteChunk; c <= (kv + keys - 1) / kFiniteChunk; ++c) {
      if (tile_.head.not_finite[c] != 0) return true;
    }
    return false;
  }

  /// Key by key, leaving out those with weight 0: 0 * inf and 0 * NaN must not reach a row that may
  /// not see the key.
  void add_values_exactly(int64_t kv, int64_t keys, const float* weights) {
    const PackedHead& head = tile_.head;
    for (int64_t r = 0; r < tile_.rows; ++r, weights += scratch_.score_row) {
      float* sum = scratch_.values + r * scratch_.value_row;
      for (int64_t v = 0; v < vectors_of(call_.value_dim); ++v) {
        const int64_t panel = v / kBlockVectors, inside = v % kBlockVectors;
        const auto* value =
            static_cast<const Word*>(head.values) + panel * head.value_panel + inside * kLanes;
        Floats total = started_ ? load(sum + v * kLanes) : Floats{};
        for (int64_t j = 0; j < keys; ++j) {
          if (weights[j] == 0.0f) continue;
          const auto word = load(value + (kv + j) / kPerWord * head.value_row);
          total = fma(broadcast(weights[j]), element_of(word, (kv + j) % kPerWord), total);
        }
        store(sum + v * kLanes, total);
      }
    }
  }

  void finish_row(int64_t r) {
    const int64_t row = tile_.q_first + tile_.q0 + r;
    const float sum = hsum(load(scratch_.sum + r * kLanes));
    const bool empty = sum == 0.0f || !started_;  // nothing allowed: out 0
    const float factor = call_.two_passes ? 1.0f : 1.0f / sum;
    store_out(call_, tile_.b, tile_.h, row, scratch_.values + r * scratch_.value_row,
              empty ? 0.0f : factor);
    store_lse(call_, tile_.b, tile_.h, row, scratch_.reference[r], sum);
    store_largest(call_, tile_.b, tile_.h, row, scratch_.largest[r], sum);
  }

  const ForwardCall& call_;
  const ForwardTile& tile_;
  const ForwardScratch& scratch_;
  TileMachine* machine_;         // or nullptr
  TileMachine* weight_machine_;  // or nullptr
  float unit_;
  float score_factor_ = 1;
  Pass pass_ = Pass::both;
  bool started_ = false;  // scratch_.values hold something
};

size_t forward_scratch(const ForwardCall& call) { return ForwardScratch(call, nullptr).bytes; }

void run_tile(const ForwardCall& call, const ForwardTile& tile, const ForwardScratch& scratch,
              TileMachine* machine, TileMachine* weight_machine) {
#if FOVEA_SIMD_PAIRS
  if (call.pairs) {
    return ForwardKernel<int32_t>(call, tile, scratch, machine, weight_machine).run();
  }
#endif
  ForwardKernel<float>(call, tile, scratch, machine, weight_machine).run();
}

/// Calls f(machine), ready for the rows of the tile, or f(nullptr) where there is nothing to run.
template <class F>
void with_machine(const ForwardCall& call, const ForwardTile& tile, const TileProgram* program,
                  const TileBinding* binding, void* memory, F f) {
  if (program == nullptr) return f(nullptr);
  TileMachine machine(*program, *binding, memory, call.max_rows, call.key_step);
  machine.begin_head(tile.b, tile.h);
  machine.begin_rows(tile.q0, tile.rows);
  f(&machine);
}

void forward(const ForwardCall& call, const ForwardTile& tile, void* memory) {
  const ForwardScratch scratch(call, memory);
  with_machine(call, tile, call.program, call.binding, scratch.machine, [&](TileMachine* scores) {
    with_machine(call, tile, call.weight_program, call.weight_binding, scratch.weight_machine,
                 [&](TileMachine* weights) { run_tile(call, tile, scratch, scores, weights); });
  });
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
