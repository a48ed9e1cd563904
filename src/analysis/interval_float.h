// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "analysis/interval_int.h"

/// Interval rules of the floating-point operations, in double as the interpreter computes. Additions,
/// products, quotients, roots and roundings are correctly rounded, hence monotone: the ends are exact.
/// Library functions are monotone up to their last bits: their ends are widened by a few ulps.
namespace fovea::analysis {

struct FloatRange {
  double lo = 0, hi = 0;
  bool nan = false;

  // Zero is no point: its two signs behave differently under division.
  bool is_point() const noexcept { return lo == hi && lo != 0 && !nan; }
};

namespace interval {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr FloatRange kAnyFloat{-kInfinity, kInfinity, true};

inline FloatRange point(double value) noexcept {
  return std::isnan(value) ? kAnyFloat : FloatRange{value, value, false};
}

inline FloatRange hull(FloatRange a, FloatRange b) noexcept {
  return {std::min(a.lo, b.lo), std::max(a.hi, b.hi), a.nan || b.nan};
}

// Ends that came out as NaN (inf - inf, 0 * inf) say nothing.
inline FloatRange checked(double lo, double hi, bool nan) noexcept {
  if (std::isnan(lo) || std::isnan(hi)) return kAnyFloat;
  return {lo, hi, nan};
}

inline FloatRange neg(FloatRange a) noexcept { return {-a.hi, -a.lo, a.nan}; }

inline FloatRange add(FloatRange a, FloatRange b) noexcept {
  const bool cancels =
      (a.hi == kInfinity && b.lo == -kInfinity) || (a.lo == -kInfinity && b.hi == kInfinity);
  return checked(a.lo + b.lo, a.hi + b.hi, a.nan || b.nan || cancels);
}
inline FloatRange sub(FloatRange a, FloatRange b) noexcept { return add(a, neg(b)); }

inline bool has_infinity(FloatRange a) noexcept { return a.lo == -kInfinity || a.hi == kInfinity; }
inline bool has_zero(FloatRange a) noexcept { return a.lo <= 0 && a.hi >= 0; }

inline FloatRange corners(double p, double q, double r, double s, bool nan) noexcept {
  if (std::isnan(p) || std::isnan(q) || std::isnan(r) || std::isnan(s)) return kAnyFloat;
  return {std::min(std::min(p, q), std::min(r, s)), std::max(std::max(p, q), std::max(r, s)), nan};
}

inline FloatRange mul(FloatRange a, FloatRange b) noexcept {
  const bool undefined = (has_zero(a) && has_infinity(b)) || (has_infinity(a) && has_zero(b));
  return corners(a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi, a.nan || b.nan || undefined);
}

inline FloatRange div(FloatRange a, FloatRange b) noexcept {
  if (has_zero(b)) return kAnyFloat;
  const bool undefined = has_infinity(a) && has_infinity(b);
  return corners(a.lo / b.lo, a.lo / b.hi, a.hi / b.lo, a.hi / b.hi, a.nan || b.nan || undefined);
}

// Remainder of floor division: between 0 and the divisor, whose end rounding may reach.
inline FloatRange mod(FloatRange a, FloatRange b) noexcept {
  if (has_zero(b) || has_infinity(a) || has_infinity(b)) return kAnyFloat;
  const bool nan = a.nan || b.nan;
  if (a.lo >= 0 && b.lo > a.hi) return {a.lo, a.hi, nan};
  return {std::min(0.0, b.lo), std::max(0.0, b.hi), nan};
}

inline FloatRange min(FloatRange a, FloatRange b) noexcept {
  return {std::min(a.lo, b.lo), std::min(a.hi, b.hi), a.nan || b.nan};
}
inline FloatRange max(FloatRange a, FloatRange b) noexcept {
  return {std::max(a.lo, b.lo), std::max(a.hi, b.hi), a.nan || b.nan};
}
inline FloatRange abs(FloatRange a) noexcept {
  if (a.lo >= 0) return a;
  if (a.hi <= 0) return neg(a);
  return {0, std::max(-a.lo, a.hi), a.nan};
}

// An end that overflowed to infinity may be finite one bit away.
inline FloatRange widened(double lo, double hi, bool nan) noexcept {
  constexpr double kRelative = 16 * std::numeric_limits<double>::epsilon();
  constexpr double kAbsolute = 16 * std::numeric_limits<double>::denorm_min();
  constexpr double kNearMax = std::numeric_limits<double>::max() * (1 - kRelative);
  lo = std::min(lo, kNearMax);
  hi = std::max(hi, -kNearMax);
  if (std::isfinite(lo)) lo -= std::fabs(lo) * kRelative + kAbsolute;
  if (std::isfinite(hi)) hi += std::fabs(hi) * kRelative + kAbsolute;
  return checked(lo, hi, nan);
}

inline FloatRange clamped(FloatRange a, double lo, double hi) noexcept {
  return {std::clamp(a.lo, lo, hi), std::clamp(a.hi, lo, hi), a.nan};
}

template <class F>
FloatRange increasing(FloatRange a, F&& f) {
  return widened(f(a.lo), f(a.hi), a.nan);
}

inline FloatRange logarithm(FloatRange a, double (*f)(double)) {
  if (a.hi < 0) return kAnyFloat;
  return widened(f(std::max(a.lo, 0.0)), f(std::max(a.hi, 0.0)), a.nan || a.lo < 0);
}

inline FloatRange sqrt(FloatRange a) {
  if (a.hi < 0) return kAnyFloat;
  return {std::sqrt(std::max(a.lo, 0.0)), std::sqrt(std::max(a.hi, 0.0)), a.nan || a.lo < 0};
}

inline FloatRange rsqrt(FloatRange a) {
  if (a.lo <= 0) return kAnyFloat;
  return widened(1 / std::sqrt(a.hi), 1 / std::sqrt(a.lo), a.nan);
}

inline FloatRange wave(FloatRange a) noexcept { return {-1, 1, a.nan || has_infinity(a)}; }

inline FloatRange pow(FloatRange a, FloatRange b) {
  if (a.nan || b.nan) return kAnyFloat;  // pow(NaN, 0) and pow(1, NaN) are numbers
  const auto at = [](double x, double y) { return std::pow(x, y); };
  if (a.lo > 0 || (a.lo == 0 && b.lo >= 0)) {
    const FloatRange exact =
        corners(at(a.lo, b.lo), at(a.lo, b.hi), at(a.hi, b.lo), at(a.hi, b.hi), false);
    return clamped(widened(exact.lo, exact.hi, exact.nan), 0, kInfinity);
  }
  const bool whole = b.lo == b.hi && b.lo >= 0 && b.lo < 64 && std::floor(b.lo) == b.lo;
  if (!whole) return kAnyFloat;
  const auto power = [&](double x) { return at(x, b.lo); };
  if (std::fmod(b.lo, 2) == 0) return clamped(increasing(abs(a), power), 0, kInfinity);
  return increasing(a, power);
}

inline FloatRange to_f32(IntRange a) noexcept {
  return {a.lo == -kUnbounded ? -kInfinity : static_cast<double>(a.lo),
          a.hi == kUnbounded ? kInfinity : static_cast<double>(a.hi), false};
}

// Truncates. What is no number or leaves 64 bits becomes 0: then nothing is known.
inline IntRange to_i32(FloatRange a) noexcept {
  constexpr double kLimit = 1e18;
  if (a.nan || a.lo < -kLimit || a.hi > kLimit) return kAnyInt;
  return {static_cast<int64_t>(a.lo), static_cast<int64_t>(a.hi)};
}

// A comparison with a NaN on either side is left open.
inline IntRange lt(FloatRange a, FloatRange b) noexcept {
  return a.nan || b.nan ? kAnyBool : truth(a.hi < b.lo, a.lo >= b.hi);
}
inline IntRange le(FloatRange a, FloatRange b) noexcept {
  return a.nan || b.nan ? kAnyBool : truth(a.hi <= b.lo, a.lo > b.hi);
}
inline IntRange eq(FloatRange a, FloatRange b) noexcept {
  if (a.nan || b.nan) return kAnyBool;
  return truth(a.lo == a.hi && b.lo == b.hi && a.lo == b.lo, a.hi < b.lo || a.lo > b.hi);
}
// NaN is true: it differs from zero.
inline IntRange to_bool(FloatRange a) noexcept {
  return truth(a.lo > 0 || a.hi < 0, a.lo == 0 && a.hi == 0 && !a.nan);
}

}  // namespace interval
}  // namespace fovea::analysis
