// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

#include "analysis/interval_int.h"

/// Which bits of an integer are known over a box: what intervals lose in chains of bit operations, such
/// as the ones that interleave coordinates (Morton order).
namespace fovea::analysis {

struct KnownBits {
  int64_t value = 0;  // the known bits; 0 where unknown
  int64_t unknown = -1;

  int64_t possible() const noexcept { return value | unknown; }

  /// The leading bits that both ends of a range share.
  static KnownBits of(IntRange range) noexcept {
    if (!range.is_bounded()) return {};
    const auto difference = static_cast<uint64_t>(range.lo) ^ static_cast<uint64_t>(range.hi);
    const uint64_t unknown = difference == 0 ? 0 : ~uint64_t{0} >> std::countl_zero(difference);
    const auto mask = static_cast<int64_t>(unknown);
    return {range.lo & ~mask, mask};
  }

  /// Says nothing if the sign is unknown.
  IntRange range() const noexcept {
    return unknown < 0 ? kAnyInt : interval::bounded(value, possible());
  }

  /// What both know.
  KnownBits with(const KnownBits& other) const noexcept {
    const int64_t both = unknown & other.unknown;
    return {(value | other.value) & ~both, both};
  }
};

namespace known_bits {

inline KnownBits bit_and(KnownBits a, KnownBits b) noexcept {
  const int64_t ones = a.value & b.value;
  return {ones, a.possible() & b.possible() & ~ones};
}
inline KnownBits bit_or(KnownBits a, KnownBits b) noexcept {
  const int64_t ones = a.value | b.value;
  return {ones, (a.unknown | b.unknown) & ~ones};
}
inline KnownBits bit_xor(KnownBits a, KnownBits b) noexcept {
  const int64_t unknown = a.unknown | b.unknown;
  return {(a.value ^ b.value) & ~unknown, unknown};
}
inline KnownBits bit_not(KnownBits a) noexcept { return {~a.value & ~a.unknown, a.unknown}; }

inline KnownBits shift_left(KnownBits a, IntRange count) noexcept {
  if (!count.is_point() || !interval::is_shift_count(count)) return {};
  return {a.value << count.lo, a.unknown << count.lo};
}
inline KnownBits shift_right(KnownBits a, IntRange count) noexcept {
  if (!count.is_point() || !interval::is_shift_count(count)) return {};
  return {a.value >> count.lo, a.unknown >> count.lo};
}

}  // namespace known_bits
}  // namespace fovea::analysis
