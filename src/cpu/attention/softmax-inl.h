// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/simd_half.h"
#include "cpu/simd_math.h"

/// The softmax of a tile, online: a reference (the running maximum, rounded up to a whole number) and
/// lane-wise running sums a row. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

constexpr float kSmallest = 1.17549435e-38f;  // the smallest normal number

struct SoftmaxRows {
  int64_t rows, keys;
  float* scores;  // in: scores; out: weights. Written up to the end of the last vector.
  int64_t score_row;
  float* values;  // sums of the steps before, rescaled where the reference moves
  int64_t value_row;
  float* reference;  // base 2; -inf: no score yet
  float* sum;        // kLanes a row
  float unit;        // scores * unit are in base 2
  // No score of a row lies outside +- its norm * key_norm; infinite, or no norms: nothing is known.
  const float* norms = nullptr;
  float key_norm = 0;
  float* largest = nullptr;  // or nullptr: of the scores so far
  // Or nullptr: weights that are not asked for exactly go here, as bf16 (with zeros up to the end of the last
  // vector), and spoil the scores. Rows are as far apart as those of the scores, and none may begin behind
  // its scores.
  BFloat16* rounded = nullptr;
};

/// What the weights of a row are relative to.
struct Reference {
  Floats lowest;  // scores below count as this: their weight is 0
  Floats magic;   // 1.5 * 2^23 + 127 - reference
  Floats unit;
};

FOVEA_INLINE Floats magic_of(float reference) { return broadcast(12583039.0f - reference); }

/// For references below a million.
FOVEA_INLINE Reference reference_of(float reference, float unit, float unit_inverse) {
  return {broadcast((reference - 127.0f) * unit_inverse), magic_of(reference), broadcast(unit)};
}

/// 2^(score * unit - reference). As the reference is whole, adding `magic` leaves in the low bits of the
/// sum the exponent of the weight, and score * unit minus its whole part is the fraction: the
/// reference itself is never subtracted.
template <bool kBase2>
FOVEA_INLINE Floats weight_of(Floats score, const Reference& r) {
  const Floats x = max(r.lowest, score);  // this order lets NaN through
  const Floats shifted = kBase2 ? x + r.magic : fma(x, r.unit, r.magic);
  const Floats whole = shifted - r.magic;
  const Floats fraction = kBase2 ? x - whole : fma(x, r.unit, -whole);
  return exp2_fraction(fraction) * as_floats(as_ints(shifted) << 23);
}

/// The same for scores near a reference of 0: nothing is clamped.
FOVEA_INLINE Floats tame_weight_of(Floats score, Floats magic) {
  const Floats shifted = score + magic;
  const Floats fraction = score - (shifted - magic);
  return exp2_fraction(fraction) * as_floats(as_ints(shifted) << 23);
}

/// Rows whose scores are known to lie within +-40 need no maximum: relative to 0 nothing overflows, and
/// what is lost beside the largest weight is lost in any case.
constexpr float kTame = 40.0f;
constexpr float kTameZero = -127.0f;  // the finite score whose weight is 0
FOVEA_INLINE bool is_tame(const SoftmaxRows& s, int64_t r) {
  const float reference = s.reference[r];
  return s.norms != nullptr && s.norms[r] * s.key_norm <= kTame &&
         (reference == 0.0f || reference == -kInfinity);
}

/// As weigh_row, for such a row.
template <bool kRounded>
FOVEA_INLINE Floats weigh_tame_row(float* row, BFloat16* rounded, int64_t vectors) {
  const Floats magic = magic_of(0.0f);
  Floats even = {}, odd = {};
  for (; vectors >= 2; vectors -= 2, row += 2 * kLanes) {
    const Floats a = tame_weight_of(load(row), magic);
    const Floats b = tame_weight_of(load(row + kLanes), magic);
    if constexpr (kRounded) {
      store_pairs(rounded, a, b);
      rounded += 2 * kLanes;
    } else {
      store(row, a);
      store(row + kLanes, b);
    }
    even += a;
    odd += b;
  }
  if (vectors != 0) {
    const Floats a = tame_weight_of(load(row), magic);
    kRounded ? store(rounded, a) : store(row, a);
    even += a;
  }
  return even + odd;
}

/// Replaces scores by weights, or writes these to `rounded`; returns their sum lane by lane. Meanwhile finds
/// the largest score of `next`: that reads the second-level cache, which would be waited for otherwise.
template <bool kBase2, bool kRounded>
FOVEA_INLINE Floats weigh_row(float* row, BFloat16* rounded, const float* next, int64_t vectors,
                              const Reference& r, Floats& largest_next) {
  Floats even = {}, odd = {}, largest = load(next);
  for (; vectors >= 2; vectors -= 2, row += 2 * kLanes, next += 2 * kLanes) {
    const Floats a = weight_of<kBase2>(load(row), r);
    const Floats b = weight_of<kBase2>(load(row + kLanes), r);
    largest = max(largest, max(load(next), load(next + kLanes)));
    if constexpr (kRounded) {
      store_pairs(rounded, a, b);
      rounded += 2 * kLanes;
    } else {
      store(row, a);
      store(row + kLanes, b);
    }
    even += a;
    odd += b;
  }
  if (vectors != 0) {
    largest = max(largest, load(next));
    const Floats a = weight_of<kBase2>(load(row), r);
    kRounded ? store(rounded, a) : store(row, a);
    even += a;
  }
  largest_next = largest;
  return even + odd;
}

/// The same for any reference, times `factor`, and so that a weight is 0 if and only if the score is -inf.
__attribute__((noinline)) Floats weigh_row_exactly(float* row, int64_t vectors, float reference,
                                                   float unit, float factor) {
  const float subtracted = reference == -kInfinity ? 0.0f : reference;  // -inf - -inf would be NaN
  Floats sum = {};
  for (int64_t v = 0; v < vectors; ++v, row += kLanes) {
    const Floats score = load(row);
    const Floats power = fma(score, broadcast(unit), broadcast(-subtracted));
    const Floats weight = max(broadcast(kSmallest), exp2(power) * factor);
    const Floats kept = select(score == -kInfinity, Floats{}, weight);
    store(row, kept);
    sum += kept;
  }
  return sum;
}

FOVEA_INLINE void round_row(const float* row, BFloat16* rounded, int64_t vectors) {
  for (int64_t v = 0; v < vectors; ++v) store(rounded + v * kLanes, load(row + v * kLanes));
}

/// Of weights that something changed after the softmax.
FOVEA_INLINE void round_rows(const SoftmaxRows& s) {
  const int64_t vectors = (s.keys + kLanes - 1) / kLanes;
  for (int64_t r = 0; r < s.rows; ++r) {
    round_row(s.scores + r * s.score_row, s.rounded + r * 2 * s.score_row, vectors);
  }
}

FOVEA_INLINE Floats largest_of(const float* row, int64_t vectors) {
  Floats largest = load(row);
  for (int64_t v = 1; v < vectors; ++v) largest = max(largest, load(row + v * kLanes));
  return largest;
}

FOVEA_INLINE void scale_row(float* row, int64_t floats, float factor) {
  for (int64_t i = 0; i < floats; i += kLanes) store(row + i, load(row + i) * factor);
}

/// Moves the reference of row r up to `largest` if it is below. Rounded up, it moves rarely, and then by
/// a power of two, which rounds nothing.
FOVEA_INLINE float move_reference(const SoftmaxRows& s, int64_t r, float largest, bool started) {
  const float before = s.reference[r];
  const float now = __builtin_ceilf(largest * s.unit);
  if (!(now > before)) return before;
  s.reference[r] = now;
  if (before != -kInfinity) {
    const Floats factor =
        max(broadcast(kSmallest), exp2(broadcast(before - now)));  // infinite sums stay so
    store(s.sum + r * kLanes, load(s.sum + r * kLanes) * factor);
    if (started) scale_row(s.values + r * s.value_row, s.value_row, factor[0]);
  }
  return now;
}

/// Fills the last vector of a row, beyond its keys.
FOVEA_INLINE void fill_tail(const SoftmaxRows& s, int64_t r, float filling) {
  const int64_t tail = s.keys % kLanes;
  if (tail == 0) return;
  float* last = s.scores + r * s.score_row + s.keys - tail;
  store(last, select(first_lanes(tail), load(last), broadcast(filling)));
}

template <bool kBase2, bool kRounded>
__attribute__((noinline)) void softmax_rows(const SoftmaxRows& s, bool started, bool exact) {
  const int64_t vectors = (s.keys + kLanes - 1) / kLanes;
  const float unit_inverse = 1.0f / s.unit;
  Floats largest = {};
  bool found = false;  // `largest` is that of row r
  for (int64_t r = 0; r < s.rows; ++r) {
    float* row = s.scores + r * s.score_row;
    BFloat16* rounded = kRounded ? s.rounded + r * 2 * s.score_row : nullptr;
    Floats sum;
    if (kBase2 && !exact && is_tame(s, r)) {
      s.reference[r] = 0.0f;
      fill_tail(s, r, kTameZero);
      sum = weigh_tame_row<kRounded>(row, rounded, vectors);
      found = false;
    } else {
      if (!found) {
        fill_tail(s, r, -kInfinity);
        largest = largest_of(row, vectors);
      }
      const float most = hmax(largest);
      if (s.largest != nullptr && most > s.largest[r]) s.largest[r] = most;
      const float reference = move_reference(s, r, most, started);
      found = r + 1 < s.rows;
      if (found) fill_tail(s, r + 1, -kInfinity);
      const float* next = found ? row + s.score_row : row;
      if (exact || !(reference > -1e6f && reference < 1e6f)) {
        sum = weigh_row_exactly(row, vectors, reference, s.unit, 1);
        largest = largest_of(next, vectors);
        if (kRounded && !exact) round_row(row, rounded, vectors);
      } else {
        sum = weigh_row<kBase2, kRounded>(row, rounded, next, vectors,
                                          reference_of(reference, s.unit, unit_inverse), largest);
      }
    }
    store(s.sum + r * kLanes, load(s.sum + r * kLanes) + sum);
  }
}

/// Where reference and sum are those of whole rows: scores become weights that add up to 1, and are 0 only where
/// the score is -inf.
__attribute__((noinline)) void normalized_weights(const SoftmaxRows& s) {
  const int64_t vectors = (s.keys + kLanes - 1) / kLanes;
  for (int64_t r = 0; r < s.rows; ++r) {
    fill_tail(s, r, -kInfinity);
    weigh_row_exactly(s.scores + r * s.score_row, vectors, s.reference[r], s.unit,
                      1.0f / hsum(load(s.sum + r * kLanes)));
  }
}

/// `exact`: a weight is 0 only where the score is -inf, so that 0 says that the row may not see the key.
template <bool kRounded>
FOVEA_INLINE void softmax(const SoftmaxRows& s, bool started, bool exact) {
  s.unit == 1.0f ? softmax_rows<true, kRounded>(s, started, exact)
                 : softmax_rows<false, kRounded>(s, started, exact);
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
