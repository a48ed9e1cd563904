// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/tile_loops-inl.h"
#include "cpu/simd.h"
#include "cpu/simd_math.h"

/// What simd.h and simd_math.h do not have: integers as programs mean them (wrapping, so that no
/// lane is undefined behaviour; floor division and remainder), and functions without a fast vector
/// form.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

typedef uint32_t Unsigned __attribute__((vector_size(kVectorBytes)));
typedef int32_t HalfInts __attribute__((vector_size(kVectorBytes / 2)));
typedef double HalfDoubles __attribute__((vector_size(kVectorBytes)));

FOVEA_INLINE Unsigned as_unsigned(Ints v) { return reinterpret_cast<Unsigned>(v); }
FOVEA_INLINE Ints as_signed(Unsigned v) { return reinterpret_cast<Ints>(v); }

FOVEA_INLINE Ints add_wrapping(Ints a, Ints b) {
  return as_signed(as_unsigned(a) + as_unsigned(b));
}
FOVEA_INLINE Ints sub_wrapping(Ints a, Ints b) {
  return as_signed(as_unsigned(a) - as_unsigned(b));
}
FOVEA_INLINE Ints mul_wrapping(Ints a, Ints b) {
  return as_signed(as_unsigned(a) * as_unsigned(b));
}
FOVEA_INLINE Ints negate(Ints a) { return sub_wrapping(Ints{}, a); }
FOVEA_INLINE Ints abs(Ints a) { return select(a < 0, negate(a), a); }

FOVEA_INLINE Ints shift_left(Ints a, Ints count) {
  const Ints fits = (count >= 0) & (count < 32);
  return as_signed(as_unsigned(a) << as_unsigned(count & 31)) & fits;
}
FOVEA_INLINE Ints shift_right(Ints a, Ints count) {
  return a >> min(max(count, Ints{}), broadcast(31));
}

/// Truncates; 0 for NaN and for what 32 bits cannot hold.
FOVEA_INLINE Ints truncate_to_ints(Floats v) {
  return to_ints(v) & (v > -2147483904.0f) & (v < 2147483648.0f);
}

// ---- floor division ----------------------------------------------------------------------------
// In double, half of the lanes at a time. The quotient x of 32-bit integers is made to lie between
// whole numbers by adding half to the dividend: it is then 1/2 / divisor or more away from them, far
// more than the rounding of a double, so that rounding x - 1/2 to the nearest whole number is floor,
// exactly.

FOVEA_INLINE HalfInts low_half(Ints v) {
#if FOVEA_SIMD_LANES == 16
  return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
#elif FOVEA_SIMD_LANES == 8
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
#else
  return __builtin_shufflevector(v, v, 0, 1);
#endif
}
FOVEA_INLINE HalfInts high_half(Ints v) {
#if FOVEA_SIMD_LANES == 16
  return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#elif FOVEA_SIMD_LANES == 8
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
  return __builtin_shufflevector(v, v, 2, 3);
#endif
}
FOVEA_INLINE HalfDoubles to_doubles(HalfInts v) { return __builtin_convertvector(v, HalfDoubles); }

/// The whole numbers nearest to low and high, as 32-bit integers: added to 1.5 * 2^52 they stand in
/// the low words of the sums.
FOVEA_INLINE Ints round_to_ints(HalfDoubles low, HalfDoubles high) {
  constexpr double kShift = 6755399441055744.0;
  const Ints a = reinterpret_cast<Ints>(low + kShift);
  const Ints b = reinterpret_cast<Ints>(high + kShift);
#if FOVEA_SIMD_LANES == 16
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif FOVEA_SIMD_LANES == 8
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6);
#endif
}

/// Dividing by 0 gives 0 (as in fold.h); such lanes divide by 1 instead and are cleared.
FOVEA_INLINE Ints floor_div(Ints a, Ints b) {
  const Ints nonzero = b != 0;
  const Ints divisor = select(nonzero, b, broadcast(1));
  const auto quotient = [](HalfInts x, HalfInts y) {
    const HalfDoubles by = to_doubles(y);
    const HalfDoubles half = by > 0 ? HalfDoubles{} + 0.5 : HalfDoubles{} - 0.5;
    return (to_doubles(x) + half) / by - 0.5;
  };
  return round_to_ints(quotient(low_half(a), low_half(divisor)),
                       quotient(high_half(a), high_half(divisor))) &
         nonzero;
}
FOVEA_INLINE Ints floor_mod(Ints a, Ints b) {
  return sub_wrapping(a, mul_wrapping(floor_div(a, b), b)) & (b != 0);
}

/// One divisor for many dividends: a shift for powers of two, else a multiplication.
struct Divisor {
  int32_t value;
  bool power_of_two;
  int shift = 0;
  double inverse = 1, offset = 0;

  explicit Divisor(int32_t b) : value(b), power_of_two(b > 0 && (b & (b - 1)) == 0) {
    if (b == 0) return;
    if (power_of_two) shift = __builtin_ctz(static_cast<unsigned>(b));
    inverse = 1.0 / b;
    offset = (b > 0 ? 0.5 : -0.5) * inverse - 0.5;
  }
  FOVEA_INLINE HalfDoubles quotient(HalfInts a) const { return to_doubles(a) * inverse + offset; }
  FOVEA_INLINE Ints quotient(Ints a) const {
    return round_to_ints(quotient(low_half(a)), quotient(high_half(a)));
  }
};

template <class F>
FOVEA_INLINE void map_row(float* d, const TileView& from, int64_t i, int64_t n, F f) {
  const float* a = from.at(i);
  for (int64_t j = 0; j < n; j += kLanes) {
    store_as(d + j, f(load_as<Ints>(a)));
    a += from.step;
  }
}

__attribute__((noinline)) inline void floor_div_loop(const TileJob& job) {
  if (job.args[1].step != 0) {
    map2<Ints, Ints>(job, [](Ints a, Ints b) { return floor_div(a, b); });
    return;
  }
  for (int64_t i = 0; i < job.rows; ++i) {
    const Divisor by(*job.args[1].ints_at(i));
    float* d = job.dest.at(i);
    if (by.value == 0) {
      map_row(d, job.args[0], i, job.n, [](Ints) { return Ints{}; });
    } else if (by.power_of_two) {
      map_row(d, job.args[0], i, job.n, [&](Ints a) { return a >> by.shift; });
    } else {
      map_row(d, job.args[0], i, job.n, [&](Ints a) { return by.quotient(a); });
    }
  }
}

__attribute__((noinline)) inline void floor_mod_loop(const TileJob& job) {
  if (job.args[1].step != 0) {
    map2<Ints, Ints>(job, [](Ints a, Ints b) { return floor_mod(a, b); });
    return;
  }
  for (int64_t i = 0; i < job.rows; ++i) {
    const Divisor by(*job.args[1].ints_at(i));
    float* d = job.dest.at(i);
    if (by.value == 0) {
      map_row(d, job.args[0], i, job.n, [](Ints) { return Ints{}; });
    } else if (by.power_of_two) {
      map_row(d, job.args[0], i, job.n, [&](Ints a) { return a & (by.value - 1); });
    } else {
      map_row(d, job.args[0], i, job.n, [&](Ints a) {
        return sub_wrapping(a, mul_wrapping(by.quotient(a), broadcast(by.value)));
      });
    }
  }
}

// ---- random bits -------------------------------------------------------------------------------
// Philox2x32-10 (fold.h). Even and odd lanes go apart, as 64-bit lanes whose high words are anything: the
// multiplication does not look at them.

constexpr int kPhiloxRounds = 10;

struct PhiloxKeys {
  Wides of_round[kPhiloxRounds];

  FOVEA_INLINE explicit PhiloxKeys(Wides key) {
    for (Wides& k : of_round) {
      k = key;
      key += 0x9E3779B9u;
    }
  }
};

FOVEA_INLINE Wides philox_product(Wides left) {
  return multiply_low_words(left, Wides{} + 0xD256D193u);
}

/// The first word after all rounds; `product` is that of the first round.
FOVEA_INLINE Wides philox_rounds(const PhiloxKeys& keys, Wides product, Wides right) {
  Wides left = (product >> 32) ^ keys.of_round[0] ^ right;
#pragma GCC unroll 10
  for (int round = 1; round < kPhiloxRounds; ++round) {
    right = product;
    product = philox_product(left);
    left = (product >> 32) ^ keys.of_round[round] ^ right;
  }
  return left;
}

FOVEA_INLINE Ints merge_lanes(Wides even, Wides odd) {
  return reinterpret_cast<Ints>((even & 0xffffffffu) | (odd << 32));
}

FOVEA_INLINE Ints philox(Ints key, Ints a, Ints b) {
  const Wides k = reinterpret_cast<Wides>(key), left = reinterpret_cast<Wides>(a),
              right = reinterpret_cast<Wides>(b);
  return merge_lanes(philox_rounds(PhiloxKeys(k), philox_product(left), right),
                     philox_rounds(PhiloxKeys(k >> 32), philox_product(left >> 32), right >> 32));
}

/// A key and a counter's first word that a row shares (dropout) leave nine of the ten rounds.
__attribute__((noinline)) inline void philox_loop(const TileJob& job) {
  if (job.args[0].step != 0 || job.args[1].step != 0) {
    map3<Ints, Ints, Ints>(job, [](Ints k, Ints a, Ints b) { return philox(k, a, b); });
    return;
  }
  for (int64_t i = 0; i < job.rows; ++i) {
    const PhiloxKeys keys(load_as<Wides>(job.args[0].at(i)));
    const Wides product = philox_product(load_as<Wides>(job.args[1].at(i)));
    map_row(job.dest.at(i), job.args[2], i, job.n, [&](Ints b) {
      const Wides right = reinterpret_cast<Wides>(b);
      return merge_lanes(philox_rounds(keys, product, right),
                         philox_rounds(keys, product, right >> 32));
    });
  }
}

// ---- lane by lane ------------------------------------------------------------------------------

template <class F>
FOVEA_INLINE Floats lanes1(Floats a, F f) {
  for (int i = 0; i < kLanes; ++i) a[i] = f(a[i]);
  return a;
}
template <class F>
FOVEA_INLINE Floats lanes2(Floats a, Floats b, F f) {
  for (int i = 0; i < kLanes; ++i) a[i] = f(a[i], b[i]);
  return a;
}

/// The remainder of floor division: it has the sign of b.
inline float floor_mod(float a, float b) {
  const float r = __builtin_fmodf(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

// ---- softcap -----------------------------------------------------------------------------------

/// a / b for many a; by the inverse, unless that is not normal.
struct RowDivisor {
  Floats value, inverse;
  bool normal;

  explicit RowDivisor(float b) : value(broadcast(b)), inverse(broadcast(1.0f / b)) {
    normal = __builtin_isnormal(1.0f / b);
  }
  FOVEA_INLINE Floats divide(Floats a) const { return normal ? a * inverse : a / value; }
};

/// tanh(a / b) * c
__attribute__((noinline)) inline void softcap_div_loop(const TileJob& job) {
  if (job.args[1].step != 0) {
    map3<Floats, Floats, Floats>(job, [](Floats a, Floats b, Floats c) { return tanh(a / b) * c; });
    return;
  }
  for (int64_t i = 0; i < job.rows; ++i) {
    const RowDivisor by(*job.args[1].at(i));
    float* d = job.dest.at(i);
    const float* a = job.args[0].at(i);
    const float* c = job.args[2].at(i);
    for (int64_t j = 0; j < job.n; j += kLanes) {
      store_as(d + j, tanh(by.divide(load_as<Floats>(a))) * load_as<Floats>(c));
      a += job.args[0].step;
      c += job.args[2].step;
    }
  }
}

/// g / b, 0 where g is
__attribute__((noinline)) inline void gradient_div_loop(const TileJob& job) {
  if (job.args[1].step != 0) {
    map2<Floats, Floats>(job, [](Floats g, Floats b) { return select(g != 0.0f, g / b, Floats{}); });
    return;
  }
  for (int64_t i = 0; i < job.rows; ++i) {
    const RowDivisor by(*job.args[1].at(i));
    float* d = job.dest.at(i);
    const float* a = job.args[0].at(i);
    for (int64_t j = 0; j < job.n; j += kLanes) {
      const Floats g = load_as<Floats>(a);
      store_as(d + j, select(g != 0.0f, by.divide(g), Floats{}));
      a += job.args[0].step;
    }
  }
}

/// tanh(a / b)
__attribute__((noinline)) inline void tanh_div_loop(const TileJob& job) {
  if (job.args[1].step != 0) {
    map2<Floats, Floats>(job, [](Floats a, Floats b) { return tanh(a / b); });
    return;
  }
  for (int64_t i = 0; i < job.rows; ++i) {
    const RowDivisor by(*job.args[1].at(i));
    float* d = job.dest.at(i);
    const float* a = job.args[0].at(i);
    for (int64_t j = 0; j < job.n; j += kLanes) {
      store_as(d + j, tanh(by.divide(load_as<Floats>(a))));
      a += job.args[0].step;
    }
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
