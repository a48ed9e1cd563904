// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/backward_kernels.h"
#include "cpu/simd_math.h"

/// From scores and d loss / d weights of a tile to weights and d loss / d scores. For kernel sources only,
/// as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

struct WeighJob {
  int64_t rows, keys;
  float* scores;      // in: scores; out: weights. Written up to the end of the last vector.
  float* gradients;   // in: of weights; out: of scores. nullptr: not wanted
  int64_t row;        // floats from row to row, of both
  const LseRow* lse;  // of the rows
  const float* delta;
  float unit;  // scores * unit are in base 2
  /// A score of -inf is masked: its gradient is 0 whatever the weight's is.
  bool masked;
  bool exact;  // a weight is 0 only where the score is -inf
};

/// What turns the scores of a row into weights.
struct RowWeight {
  Floats lowest;  // scores below count as this: their weight is 0
  Floats magic;   // 1.5 * 2^23 + 127 - whole
  Floats unit, factor;
};

/// For unit > 0.
FOVEA_INLINE RowWeight row_weight(const LseRow& lse, float unit) {
  return {broadcast((lse.whole - 127.0f) / unit), broadcast(12583039.0f - lse.whole),
          broadcast(unit), broadcast(lse.factor)};
}

/// 2^(score * unit - lse), 0 below 2^-126. As in the forward pass, `magic` leaves in the low bits of the sum
/// the exponent, and nothing is rounded but the fraction: an lse that was subtracted from the score would
/// cost bits that a sum over all keys does not forgive.
FOVEA_INLINE Floats weight_of(Floats score, const RowWeight& r) {
  const Floats x = max(r.lowest, score);  // this order lets NaN through
  const Floats shifted = fma(x, r.unit, r.magic);
  const Floats fraction = fma(x, r.unit, r.magic - shifted);
  return exp2_fraction(fraction) * as_floats(as_ints(shifted) << 23) * r.factor;
}

FOVEA_INLINE bool is_plain(const LseRow& lse, float unit) {
  return lse.whole >= -kMostWhole && lse.whole <= kMostWhole && unit > 0;
}

template <bool kMasked, bool kGradients>
FOVEA_INLINE void weigh_row(float* scores, float* gradients, int64_t vectors, const RowWeight& r,
                            Floats delta) {
#pragma GCC unroll 2
  for (int64_t v = 0; v < vectors; ++v) {
    const Floats score = load(scores + v * kLanes);
    const Floats weight = weight_of(score, r);
    store(scores + v * kLanes, weight);
    if constexpr (kGradients) {
      const Floats gradient = weight * (load(gradients + v * kLanes) - delta);
      store(gradients + v * kLanes,
            kMasked ? select(score == -kInfinity, Floats{}, gradient) : gradient);
    }
  }
}

/// The same for any lse, and so that a weight is 0 if and only if the score is -inf. It is 1 at most: where
/// lse is so large that the difference is lost in its rounding, anything up to infinity would come out.
__attribute__((noinline)) void weigh_row_exactly(float* scores, float* gradients, int64_t vectors,
                                                 Floats unit, const LseRow& lse, Floats delta) {
  constexpr float kLeast = 1.17549435e-38f;  // the smallest normal number
  for (int64_t v = 0; v < vectors; ++v) {
    const Floats score = load(scores + v * kLanes);
    const Floats power = fma(score, unit, broadcast(-lse.whole));
    // This order lets NaN through.
    const Floats weight = min(broadcast(1.0f), exp2(power) * broadcast(lse.factor));
    const Ints masked = score == -kInfinity;
    const Floats kept = select(masked, Floats{}, max(broadcast(kLeast), weight));
    store(scores + v * kLanes, kept);
    if (gradients == nullptr) continue;
    const Floats gradient = kept * (load(gradients + v * kLanes) - delta);
    store(gradients + v * kLanes, select(masked, Floats{}, gradient));
  }
}

FOVEA_INLINE void clear_row(float* to, int64_t vectors) {
  for (int64_t v = 0; v < vectors; ++v) store(to + v * kLanes, Floats{});
}

template <bool kMasked, bool kGradients>
__attribute__((noinline)) void weigh_rows(const WeighJob& job) {
  const int64_t vectors = (job.keys + kLanes - 1) / kLanes;
  for (int64_t r = 0; r < job.rows; ++r) {
    float* scores = job.scores + r * job.row;
    float* gradients = kGradients ? job.gradients + r * job.row : nullptr;
    const LseRow& lse = job.lse[r];
    Floats delta = {};  // not read where it is not wanted: another thread may be adding to it
    if constexpr (kGradients) delta = broadcast(job.delta[r]);
    if (lse.whole == -kInfinity) {  // the row sees nothing
      clear_row(scores, vectors);
      if (kGradients) clear_row(gradients, vectors);
    } else if (job.exact || !is_plain(lse, job.unit)) {
      weigh_row_exactly(scores, gradients, vectors, broadcast(job.unit), lse, delta);
    } else {
      weigh_row<kMasked, kGradients>(scores, gradients, vectors, row_weight(lse, job.unit), delta);
    }
  }
}

/// A tile becomes 0 where the weights are.
FOVEA_INLINE void clear_masked(const WeighJob& job, float* tile) {
  for (int64_t r = 0; r < job.rows; ++r) {
    for (int64_t v = 0; v < (job.keys + kLanes - 1) / kLanes; ++v) {
      const int64_t at = r * job.row + v * kLanes;
      store(tile + at, select(load(job.scores + at) == 0.0f, Floats{}, load(tile + at)));
    }
  }
}

/// The second half of weigh, where the weights are there already: gradients of weights become those of
/// scores.
inline void weigh_gradients(const WeighJob& job) {
  for (int64_t r = 0; r < job.rows; ++r) {
    const Floats delta = broadcast(job.delta[r]);
    for (int64_t v = 0; v < (job.keys + kLanes - 1) / kLanes; ++v) {
      const int64_t at = r * job.row + v * kLanes;
      const Floats weight = load(job.scores + at);
      const Floats gradient = weight * (load(job.gradients + at) - delta);
      store(job.gradients + at, select(weight == 0.0f, Floats{}, gradient));
    }
  }
}

/// sums[row] += the row's sum of weight * gradient.
inline void add_deltas(const WeighJob& job, float* sums) {
  for (int64_t r = 0; r < job.rows; ++r) {
    Floats sum = {};
    for (int64_t v = 0; v < (job.keys + kLanes - 1) / kLanes; ++v) {
      const int64_t at = r * job.row + v * kLanes;
      const Floats weight = load(job.scores + at);
      const Floats product = weight * load(job.gradients + at);
      const Ints inside = first_lanes(job.keys - v * kLanes);
      sum += select(inside & (weight != 0.0f), product, Floats{});
    }
    sums[r] += hsum(sum);
  }
}

FOVEA_INLINE void weigh(const WeighJob& job) {
  if (job.gradients == nullptr) {
    weigh_rows<false, false>(job);
  } else if (job.masked) {
    weigh_rows<true, true>(job);
  } else {
    weigh_rows<false, true>(job);
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
