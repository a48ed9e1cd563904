// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include <fovea/random.h>
#include "program/types.h"

/// The exact meaning of every operation, once: folding, the element-wise and the row interpreter all
/// apply these. Integers are exact in 64 bits, floats are doubles, bools are the integers 0 and 1.
///
/// A `fault` (64-bit overflow, division by zero, a shift count outside [0, 63]) turns nonzero and
/// never back; the result then is what the kernels' safe paths give (wrapped, or 0). No branch
/// depends on it, so that loops over these functions vectorise.
namespace fovea::program {

/// Fold<op>::ints works on int64, Fold<op>::floats on double; an operation has those that its types
/// allow. Comparisons have one template for both.
template <Op op>
struct Fold;

namespace fold_detail {
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr uint64_t as_unsigned(int64_t x) { return static_cast<uint64_t>(x); }
constexpr int64_t as_signed(uint64_t x) { return static_cast<int64_t>(x); }
constexpr uint64_t flag(bool bad) { return bad ? 1 : 0; }
}  // namespace fold_detail

template <>
struct Fold<Op::add> {
  static int64_t ints(int64_t a, int64_t b, uint64_t& fault) {
    const int64_t sum =
        fold_detail::as_signed(fold_detail::as_unsigned(a) + fold_detail::as_unsigned(b));
    fault |= fold_detail::as_unsigned((a ^ sum) & (b ^ sum)) >> 63;
    return sum;
  }
  static double floats(double a, double b) { return a + b; }
};

template <>
struct Fold<Op::sub> {
  static int64_t ints(int64_t a, int64_t b, uint64_t& fault) {
    const int64_t difference =
        fold_detail::as_signed(fold_detail::as_unsigned(a) - fold_detail::as_unsigned(b));
    fault |= fold_detail::as_unsigned((a ^ b) & (a ^ difference)) >> 63;
    return difference;
  }
  static double floats(double a, double b) { return a - b; }
};

template <>
struct Fold<Op::mul> {
  static int64_t ints(int64_t a, int64_t b, uint64_t& fault) {
    int64_t product = 0;
    fault |= fold_detail::flag(__builtin_mul_overflow(a, b, &product));
    return product;
  }
  static double floats(double a, double b) { return a * b; }
};

template <>
struct Fold<Op::div> {
  static double floats(double a, double b) { return a / b; }
};

template <>
struct Fold<Op::floor_div> {
  static int64_t ints(int64_t a, int64_t b, uint64_t& fault) {
    const bool bad = b == 0 || (a == fold_detail::kMin && b == -1);
    fault |= fold_detail::flag(bad);
    if (bad) return 0;
    const int64_t quotient = a / b;
    const int64_t rest = a - quotient * b;
    return quotient - (rest != 0 && (rest ^ b) < 0 ? 1 : 0);
  }
};

template <>
struct Fold<Op::mod> {
  static int64_t ints(int64_t a, int64_t b, uint64_t& fault) {
    fault |= fold_detail::flag(b == 0);
    if (b == 0 || b == -1) return 0;  // kMin % -1 traps
    const int64_t rest = a % b;
    return rest != 0 && (rest ^ b) < 0 ? rest + b : rest;
  }
  static double floats(double a, double b) {
    const double rest = std::fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
};

template <>
struct Fold<Op::min> {
  static int64_t ints(int64_t a, int64_t b, uint64_t&) { return b < a ? b : a; }
  static double floats(double a, double b) { return b < a || std::isnan(b) ? b : a; }
};

template <>
struct Fold<Op::max> {
  static int64_t ints(int64_t a, int64_t b, uint64_t&) { return b > a ? b : a; }
  static double floats(double a, double b) { return b > a || std::isnan(b) ? b : a; }
};

template <>
struct Fold<Op::pow> {
  static double floats(double a, double b) { return std::pow(a, b); }
};

template <>
struct Fold<Op::neg> {
  static int64_t ints(int64_t a, uint64_t& fault) {
    fault |= fold_detail::flag(a == fold_detail::kMin);
    return fold_detail::as_signed(0 - fold_detail::as_unsigned(a));
  }
  static double floats(double a) { return -a; }
};

template <>
struct Fold<Op::abs> {
  static int64_t ints(int64_t a, uint64_t& fault) {
    return a < 0 ? Fold<Op::neg>::ints(a, fault) : a;
  }
  static double floats(double a) { return std::fabs(a); }
};

template <>
struct Fold<Op::exp> {
  static double floats(double a) { return std::exp(a); }
};
template <>
struct Fold<Op::exp2> {
  static double floats(double a) { return std::exp2(a); }
};
template <>
struct Fold<Op::log> {
  static double floats(double a) { return std::log(a); }
};
template <>
struct Fold<Op::log2> {
  static double floats(double a) { return std::log2(a); }
};
template <>
struct Fold<Op::tanh> {
  static double floats(double a) { return std::tanh(a); }
};
template <>
struct Fold<Op::sigmoid> {
  static double floats(double a) { return 1 / (1 + std::exp(-a)); }
};
template <>
struct Fold<Op::sqrt> {
  static double floats(double a) { return std::sqrt(a); }
};
template <>
struct Fold<Op::rsqrt> {
  static double floats(double a) { return 1 / std::sqrt(a); }
};
template <>
struct Fold<Op::sin> {
  static double floats(double a) { return std::sin(a); }
};
template <>
struct Fold<Op::cos> {
  static double floats(double a) { return std::cos(a); }
};
template <>
struct Fold<Op::erf> {
  static double floats(double a) { return std::erf(a); }
};
template <>
struct Fold<Op::floor> {
  static double floats(double a) { return std::floor(a); }
};
template <>
struct Fold<Op::ceil> {
  static double floats(double a) { return std::ceil(a); }
};
template <>
struct Fold<Op::trunc> {
  static double floats(double a) { return std::trunc(a); }
};
template <>
struct Fold<Op::round> {  // half to even, whatever the rounding mode of the thread
  static double floats(double a) {
    const double below = std::floor(a);
    const double rest = a - below;
    if (rest != 0.5) return std::round(a);
    return std::copysign(std::fmod(below, 2) == 0 ? below : below + 1, a);
  }
};

template <>
struct Fold<Op::eq> {
  template <class T>
  static bool holds(T a, T b) {
    return a == b;
  }
};
template <>
struct Fold<Op::ne> {
  template <class T>
  static bool holds(T a, T b) {
    return a != b;
  }
};
template <>
struct Fold<Op::lt> {
  template <class T>
  static bool holds(T a, T b) {
    return a < b;
  }
};
template <>
struct Fold<Op::le> {
  template <class T>
  static bool holds(T a, T b) {
    return a <= b;
  }
};

template <>
struct Fold<Op::logical_and> {
  static int64_t ints(int64_t a, int64_t b, uint64_t&) { return a & b; }
};
template <>
struct Fold<Op::logical_or> {
  static int64_t ints(int64_t a, int64_t b, uint64_t&) { return a | b; }
};
template <>
struct Fold<Op::logical_not> {
  static int64_t ints(int64_t a, uint64_t&) { return a ^ 1; }
};
template <>
struct Fold<Op::bit_and> {
  static int64_t ints(int64_t a, int64_t b, uint64_t&) { return a & b; }
};
template <>
struct Fold<Op::bit_or> {
  static int64_t ints(int64_t a, int64_t b, uint64_t&) { return a | b; }
};
template <>
struct Fold<Op::bit_xor> {
  static int64_t ints(int64_t a, int64_t b, uint64_t&) { return a ^ b; }
};
template <>
struct Fold<Op::bit_not> {
  static int64_t ints(int64_t a, uint64_t&) { return ~a; }
};

template <>
struct Fold<Op::shift_left> {
  static int64_t ints(int64_t a, int64_t count, uint64_t& fault) {
    const auto n = static_cast<int>(count & 63);
    const int64_t shifted = fold_detail::as_signed(fold_detail::as_unsigned(a) << n);
    fault |= fold_detail::flag(n != count) | fold_detail::flag((shifted >> n) != a);
    return shifted;
  }
};
template <>
struct Fold<Op::shift_right> {
  static int64_t ints(int64_t a, int64_t count, uint64_t& fault) {
    const auto n = static_cast<int>(count & 63);
    fault |= fold_detail::flag(n != count);
    return a >> n;
  }
};

/// Operands modulo 2^32; the random bits as a signed 32-bit integer.
template <>
struct Fold<Op::philox> {
  static int64_t ints(int64_t key, int64_t a, int64_t b, uint64_t&) {
    const auto word = [](int64_t x) { return static_cast<uint32_t>(fold_detail::as_unsigned(x)); };
    return static_cast<int32_t>(philox2x32({word(a), word(b)}, word(key))[0]);
  }
};

/// Towards zero; 0 for NaN and for what 64 bits cannot hold.
inline int64_t fold_to_int(double a) {
  constexpr double kLimit = 9223372036854775808.0;
  return a >= -kLimit && a < kLimit ? static_cast<int64_t>(a) : 0;
}
inline bool fold_to_bool(double a) { return a != 0; }

/// One operation on literals that already have its operand types (signature_of). Not for leaves and
/// gathers.
Literal fold(Op op, std::span<const Literal> args, uint64_t& fault);

inline Literal make_int(int64_t value) { return {ScalarType::i32, value, 0}; }
inline Literal make_float(double value) { return {ScalarType::f32, 0, value}; }
inline Literal make_bool(bool value) { return {ScalarType::boolean, value ? 1 : 0, 0}; }

/// The same bits (NaN equals NaN; 0.0 differs from -0.0).
inline bool is_same(const Literal& a, const Literal& b) {
  if (a.type != b.type) return false;
  if (a.type != ScalarType::f32) return a.i == b.i;
  return std::bit_cast<uint64_t>(a.f) == std::bit_cast<uint64_t>(b.f) ||
         (std::isnan(a.f) && std::isnan(b.f));
}

}  // namespace fovea::program
