// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/simd_math.h"

/// From scores and d loss / d weights of a tile to weights and d loss / d scores. For kernel sources only,
/// as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

struct WeighJob {
  int64_t rows, keys;
  float* scores;             // in: scores; out: weights. Written up to the end of the last vector.
  float* gradients;          // in: of weights; out: of scores. nullptr: not wanted
  int64_t row;               // floats from row to row, of both
  const float *lse, *delta;  // of the rows
  float unit;                // scores * unit are in base 2, as lse is
  /// A score of -inf is masked: its gradient is 0 whatever the weight's is.
  bool masked;
  bool exact;  // a weight is 0 only where the score is -inf
};

/// 2^(score * unit - lse), 0 below 2^-126. Adding `kMagic` leaves in the low bits of the sum the exponent of
/// the weight.
FOVEA_INLINE Floats weight_of(Floats score, Floats unit, Floats lse) {
  constexpr float kMagic = 12583039.0f;                              // 1.5 * 2^23 + 127
  const Floats x = max(broadcast(-127.0f), fma(score, unit, -lse));  // this order lets NaN through
  const Floats shifted = x + kMagic;
  const Floats fraction = x - (shifted - kMagic);
  return exp2_fraction(fraction) * as_floats(as_ints(shifted) << 23);
}

template <bool kMasked, bool kGradients>
FOVEA_INLINE void weigh_row(float* scores, float* gradients, int64_t vectors, Floats unit,
                            Floats lse, Floats delta) {
#pragma GCC unroll 2
  for (int64_t v = 0; v < vectors; ++v) {
    const Floats score = load(scores + v * kLanes);
    const Floats weight = weight_of(score, unit, lse);
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
                                                 Floats unit, Floats lse, Floats delta) {
  constexpr float kLeast = 1.17549435e-38f;  // the smallest normal number
  for (int64_t v = 0; v < vectors; ++v) {
    const Floats score = load(scores + v * kLanes);
    const Floats x = min(Floats{}, fma(score, unit, -lse));  // this order lets NaN through
    const Floats weight = max(broadcast(kLeast), exp2(x));
    const Ints masked = score == -kInfinity;
    store(scores + v * kLanes, select(masked, Floats{}, weight));
    if (gradients == nullptr) continue;
    const Floats gradient = weight * (load(gradients + v * kLanes) - delta);
    store(gradients + v * kLanes, select(masked, Floats{}, gradient));
  }
}

FOVEA_INLINE void clear_row(float* to, int64_t vectors) {
  for (int64_t v = 0; v < vectors; ++v) store(to + v * kLanes, Floats{});
}

template <bool kMasked, bool kGradients>
__attribute__((noinline)) void weigh_rows(const WeighJob& job) {
  const int64_t vectors = (job.keys + kLanes - 1) / kLanes;
  const Floats unit = broadcast(job.unit);
  for (int64_t r = 0; r < job.rows; ++r) {
    float* scores = job.scores + r * job.row;
    float* gradients = kGradients ? job.gradients + r * job.row : nullptr;
    const float lse = job.lse[r];
    const Floats delta = broadcast(job.delta[r]);
    if (lse == -kInfinity) {  // the row sees nothing
      clear_row(scores, vectors);
      if (kGradients) clear_row(gradients, vectors);
    } else if (job.exact || !(lse > -1e6f && lse < 1e6f)) {
      weigh_row_exactly(scores, gradients, vectors, unit, broadcast(lse), delta);
    } else {
      weigh_row<kMasked, kGradients>(scores, gradients, vectors, unit, broadcast(lse), delta);
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
