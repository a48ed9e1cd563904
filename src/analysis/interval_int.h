// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "analysis/bounds.h"

/// Interval rules of the integer (and boolean) operations. An end is either exact and below 2^61 in
/// size or +-kUnbounded; sums of two such ends cannot overflow, and a sum with an unbounded end stays
/// beyond 2^61, so that bounded() alone keeps additions sound. Rules that shrink (division, shifts)
/// must look at unbounded ends themselves.
namespace fovea::analysis {

struct IntRange {
  int64_t lo = 0, hi = 0;

  bool is_point() const noexcept { return lo == hi; }
  bool is_bounded() const noexcept { return lo > -kUnbounded && hi < kUnbounded; }
};

inline constexpr IntRange kAnyInt{-kUnbounded, kUnbounded};
inline constexpr IntRange kAnyBool{0, 1};
inline constexpr IntRange kTrue{1, 1};
inline constexpr IntRange kFalse{0, 0};

namespace interval {

inline constexpr int64_t kExactLimit = int64_t{1} << 61;

inline IntRange bounded(int64_t lo, int64_t hi) noexcept {
  lo = lo <= -kExactLimit ? -kUnbounded : std::min(lo, kExactLimit - 1);
  hi = hi >= kExactLimit ? kUnbounded : std::max(hi, 1 - kExactLimit);
  return {lo, hi};
}

inline int64_t floor_div(int64_t a, int64_t b) noexcept {
  const int64_t quotient = a / b;
  return quotient - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

inline int64_t saturating_mul(int64_t a, int64_t b) noexcept {
  int64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product;
  return (a < 0) == (b < 0) ? kUnbounded : -kUnbounded;
}

inline IntRange hull(IntRange a, IntRange b) noexcept {
  return {std::min(a.lo, b.lo), std::max(a.hi, b.hi)};
}
inline IntRange intersect(IntRange a, IntRange b) noexcept {
  return {std::max(a.lo, b.lo), std::min(a.hi, b.hi)};
}

inline IntRange add(IntRange a, IntRange b) noexcept { return bounded(a.lo + b.lo, a.hi + b.hi); }
inline IntRange sub(IntRange a, IntRange b) noexcept { return bounded(a.lo - b.hi, a.hi - b.lo); }
inline IntRange neg(IntRange a) noexcept { return {-a.hi, -a.lo}; }

inline IntRange abs(IntRange a) noexcept {
  if (a.lo >= 0) return a;
  if (a.hi <= 0) return neg(a);
  return {0, std::max(-a.lo, a.hi)};
}

inline IntRange scale(IntRange a, int64_t factor) noexcept {
  const int64_t x = saturating_mul(a.lo, factor);
  const int64_t y = saturating_mul(a.hi, factor);
  return factor < 0 ? bounded(y, x) : bounded(x, y);
}

inline IntRange mul(IntRange a, IntRange b) noexcept {
  if (b.is_point()) return scale(a, b.lo);
  if (a.is_point()) return scale(b, a.lo);
  const int64_t p = saturating_mul(a.lo, b.lo);
  const int64_t q = saturating_mul(a.lo, b.hi);
  const int64_t r = saturating_mul(a.hi, b.lo);
  const int64_t s = saturating_mul(a.hi, b.hi);
  return bounded(std::min(std::min(p, q), std::min(r, s)),
                 std::max(std::max(p, q), std::max(r, s)));
}

inline IntRange min(IntRange a, IntRange b) noexcept {
  return {std::min(a.lo, b.lo), std::min(a.hi, b.hi)};
}
inline IntRange max(IntRange a, IntRange b) noexcept {
  return {std::max(a.lo, b.lo), std::max(a.hi, b.hi)};
}

// Unbounded ends stay unbounded.
inline IntRange keep_unbounded(IntRange a, IntRange result) noexcept {
  return {a.lo == -kUnbounded ? a.lo : result.lo, a.hi == kUnbounded ? a.hi : result.hi};
}

// Divisor > 0.
inline IntRange floor_div_by(IntRange a, int64_t divisor) noexcept {
  return keep_unbounded(a, {floor_div(a.lo, divisor), floor_div(a.hi, divisor)});
}

// By 2^bits.
inline IntRange shift_down(IntRange a, int64_t bits) noexcept {
  return keep_unbounded(a, {a.lo >> bits, a.hi >> bits});
}

inline IntRange floor_div(IntRange a, IntRange b) noexcept {
  if (b.lo <= 0 && b.hi >= 0) return kAnyInt;  // division by zero is an error at run time
  if (b.hi < 0) {
    a = neg(a);
    b = neg(b);
  }
  if (b.is_point()) return floor_div_by(a, b.lo);
  // Monotone in each operand while the divisor keeps its sign: the extremes are at the ends. An
  // unbounded divisor drives the quotient to 0 or -1.
  const bool far = b.hi == kUnbounded;
  const int64_t far_lo = far ? (a.lo < 0 ? -1 : 0) : floor_div(a.lo, b.hi);
  const int64_t far_hi = far ? (a.hi < 0 ? -1 : 0) : floor_div(a.hi, b.hi);
  const IntRange near = floor_div_by(a, b.lo);
  return keep_unbounded(a, {std::min(near.lo, far_lo), std::max(near.hi, far_hi)});
}

// The range moved into the period that starts at `start`, if it ends there too: exact. Else any remainder.
inline IntRange within_period(IntRange a, int64_t start, int64_t period) noexcept {
  if (!a.is_bounded() || a.hi - start >= period) return {0, period - 1};
  return {a.lo - start, a.hi - start};
}

// Divisor > 0.
inline IntRange mod_by(IntRange a, int64_t divisor) noexcept {
  return within_period(a, floor_div(a.lo, divisor) * divisor, divisor);
}

// Divisor a power of two.
inline IntRange low_bits(IntRange a, int64_t divisor) noexcept {
  return within_period(a, a.lo & -divisor, divisor);
}

// Floor remainder: the sign of the divisor.
inline IntRange mod(IntRange a, IntRange b) noexcept {
  if (b.lo <= 0 && b.hi >= 0) return kAnyInt;
  if (b.hi < 0) return neg(mod(neg(a), neg(b)));
  if (b.is_point()) return mod_by(a, b.lo);
  if (a.lo >= 0 && a.hi < b.lo) return a;
  const int64_t most = b.hi == kUnbounded ? b.hi : b.hi - 1;
  return {0, a.lo >= 0 ? std::min(a.hi, most) : most};
}

// These three look at ranges alone; known_bits.h adds what the bits say.
inline IntRange bit_and(IntRange a, IntRange b) noexcept {
  // A mask of low bits is a remainder: exact within a period.
  if (b.is_point() && b.lo >= 0 && ((b.lo + 1) & b.lo) == 0) return low_bits(a, b.lo + 1);
  if (a.is_point() && a.lo >= 0 && ((a.lo + 1) & a.lo) == 0) return low_bits(b, a.lo + 1);
  IntRange range = kAnyInt;
  if (a.lo >= 0) range = {0, a.hi};
  if (b.lo >= 0) range = {0, std::min(b.hi, range.hi)};
  return range;
}

inline IntRange bit_or(IntRange a, IntRange b) noexcept {
  return a.lo >= 0 && b.lo >= 0 ? IntRange{std::max(a.lo, b.lo), kUnbounded} : kAnyInt;
}

inline IntRange bit_xor(IntRange a, IntRange b) noexcept {
  return a.lo >= 0 && b.lo >= 0 ? IntRange{0, kUnbounded} : kAnyInt;
}

inline IntRange bit_not(IntRange a) noexcept { return bounded(-a.hi - 1, -a.lo - 1); }

inline bool is_shift_count(IntRange count) noexcept { return count.lo >= 0 && count.hi <= 63; }

inline IntRange shift_left(IntRange a, IntRange count) noexcept {
  if (!is_shift_count(count)) return kAnyInt;
  if (count.hi >= 62) return a.lo == 0 && a.hi == 0 ? a : kAnyInt;
  return mul(a, {int64_t{1} << count.lo, int64_t{1} << count.hi});
}

inline IntRange shift_right(IntRange a, IntRange count) noexcept {
  if (!is_shift_count(count)) return kAnyInt;
  return keep_unbounded(a, {std::min(a.lo >> count.lo, a.lo >> count.hi),
                            std::max(a.hi >> count.lo, a.hi >> count.hi)});
}

inline IntRange truth(bool always, bool never) noexcept { return {always ? 1 : 0, never ? 0 : 1}; }

inline IntRange lt(IntRange a, IntRange b) noexcept { return truth(a.hi < b.lo, a.lo >= b.hi); }
inline IntRange le(IntRange a, IntRange b) noexcept { return truth(a.hi <= b.lo, a.lo > b.hi); }
inline IntRange eq(IntRange a, IntRange b) noexcept {
  return truth(a.is_point() && b.is_point() && a.lo == b.lo, a.hi < b.lo || a.lo > b.hi);
}
inline IntRange logical_not(IntRange a) noexcept { return {1 - a.hi, 1 - a.lo}; }
inline IntRange to_bool(IntRange a) noexcept {
  return truth(a.lo > 0 || a.hi < 0, a.lo == 0 && a.hi == 0);
}

}  // namespace interval
}  // namespace fovea::analysis
