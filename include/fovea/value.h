// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <fovea/export.h>
#include <fovea/tensor.h>

/// Value: the symbolic number that a mod (score_mod, mask_mod, weight_mod) computes with.
///
/// A mod is called once with Values and leaves a program behind; it is never called for an element.
/// So it must be straight-line code: `where(condition, a, b)` instead of `if` or `?:`.
///
/// Types: f32, i32 (exact integers: 64-bit where 32 bits may not suffice, never wrapping) and bool.
/// Mixed operands promote bool -> i32 -> f32, as PyTorch's do; of two bools, + and max are "or", * and min
/// are "and", and - is an error. Unlike C++, `/` on integers is floor division and `%` the remainder
/// of floor division (both round towards minus infinity; PyTorch's `//` and `%`).
namespace fovea {

enum class ScalarType : uint8_t { f32, i32, boolean };
FOVEA_API const char* name_of(ScalarType type) noexcept;  ///< "f32", "i32", "bool"

namespace program {
class Builder;
}

class Vector;

class FOVEA_API Value {
 public:
  /// Literals: bool, any integer (must fit 64 bits), any floating-point number.
  /// InvalidArgument outside a mod that is being traced.
  template <class T>
    requires std::is_arithmetic_v<T>
  Value(T literal) {  // NOLINT: implicit, so that mods read like plain C++
    if constexpr (std::same_as<T, bool>) {
      *this = from_bool(literal);
    } else if constexpr (std::is_unsigned_v<T>) {
      *this = from_unsigned(static_cast<uint64_t>(literal));
    } else if constexpr (std::is_integral_v<T>) {
      *this = from_int(static_cast<int64_t>(literal));
    } else {
      *this = from_float(static_cast<double>(literal));
    }
  }

  ScalarType type() const;

  /// Indexing a partly indexed captured tensor: `table[b][h]`.
  Value operator[](const Value& index) const;

  /// A mod is traced once, for all elements, so it cannot branch on one element's value.
  template <class T>
    requires std::same_as<T, bool>
  explicit operator T() const {
    static_assert(!std::same_as<T, bool>,
                  "fovea: a mod cannot branch on a Value (if, ?:, while); use fovea::where(...), "
                  "&&, || and !");
    return false;
  }

 private:
  friend class program::Builder;
  Value() = default;
  static Value from_bool(bool literal);
  static Value from_int(int64_t literal);
  static Value from_unsigned(uint64_t literal);  // InvalidArgument beyond 63 bits
  static Value from_float(double literal);

  uint64_t trace_ = 0;  // which trace the value belongs to: mixing two is an error
  int32_t node_ = -1;
};

// Arithmetic. `/` and `%` on integers floor; on floats `/` divides and `%` is the floor remainder.
FOVEA_API Value operator+(const Value& a, const Value& b);
FOVEA_API Value operator-(const Value& a, const Value& b);
FOVEA_API Value operator*(const Value& a, const Value& b);
FOVEA_API Value operator/(const Value& a, const Value& b);
FOVEA_API Value operator%(const Value& a, const Value& b);
FOVEA_API Value operator-(const Value& a);
FOVEA_API Value operator+(const Value& a);

// Comparison and logic; &&, || and ! take bools (`x != 0` or to_bool(x) makes one of a number). A
// fault (an index out of range, an integer overflow) in a side that does not decide is no error.
FOVEA_API Value operator==(const Value& a, const Value& b);
FOVEA_API Value operator!=(const Value& a, const Value& b);
FOVEA_API Value operator<(const Value& a, const Value& b);
FOVEA_API Value operator<=(const Value& a, const Value& b);
FOVEA_API Value operator>(const Value& a, const Value& b);
FOVEA_API Value operator>=(const Value& a, const Value& b);
FOVEA_API Value operator&&(const Value& a, const Value& b);
FOVEA_API Value operator||(const Value& a, const Value& b);
FOVEA_API Value operator!(const Value& a);

// `value && true` would otherwise be ambiguous with the built-in operator on bools.
template <class T>
  requires std::is_arithmetic_v<T>
Value operator&&(const Value& a, T b) {
  return a && Value(b);
}
template <class T>
  requires std::is_arithmetic_v<T>
Value operator&&(T a, const Value& b) {
  return Value(a) && b;
}
template <class T>
  requires std::is_arithmetic_v<T>
Value operator||(const Value& a, T b) {
  return a || Value(b);
}
template <class T>
  requires std::is_arithmetic_v<T>
Value operator||(T a, const Value& b) {
  return Value(a) || b;
}

// Bits of integers; & | ^ ~ also on bools, as in PyTorch. Shifts are arithmetic; a count must be in [0, 63].
FOVEA_API Value operator&(const Value& a, const Value& b);
FOVEA_API Value operator|(const Value& a, const Value& b);
FOVEA_API Value operator^(const Value& a, const Value& b);
FOVEA_API Value operator~(const Value& a);
FOVEA_API Value operator<<(const Value& a, const Value& count);
FOVEA_API Value operator>>(const Value& a, const Value& count);

/// 32 random bits, as a signed integer: a function of the three integers alone (each modulo 2^32), the
/// same on every backend. Philox2x32-10 of counter (a, b); <fovea/random.h>.
FOVEA_API Value random_bits(const Value& key, const Value& a, const Value& b);

/// condition ? a : b, element by element; the branch that is not taken never leaks a NaN.
FOVEA_API Value where(const Value& condition, const Value& a, const Value& b);
FOVEA_API Value min(const Value& a, const Value& b);  ///< NaN if either is NaN, as torch.minimum
FOVEA_API Value max(const Value& a, const Value& b);  ///< NaN if either is NaN, as torch.maximum
FOVEA_API Value clamp(const Value& x, const Value& low, const Value& high);
FOVEA_API Value abs(const Value& x);
FOVEA_API Value exp(const Value& x);
FOVEA_API Value exp2(const Value& x);
FOVEA_API Value log(const Value& x);
FOVEA_API Value log2(const Value& x);
FOVEA_API Value tanh(const Value& x);
FOVEA_API Value sigmoid(const Value& x);
FOVEA_API Value sqrt(const Value& x);
FOVEA_API Value rsqrt(const Value& x);
FOVEA_API Value sin(const Value& x);
FOVEA_API Value cos(const Value& x);
FOVEA_API Value erf(const Value& x);
FOVEA_API Value floor(const Value& x);
FOVEA_API Value ceil(const Value& x);
FOVEA_API Value trunc(const Value& x);
FOVEA_API Value round(const Value& x);  ///< half to even, as torch.round
/// Of integers: an integer; the exponent must be a literal of at most 62, or the base 2.
FOVEA_API Value pow(const Value& base, const Value& exponent);
FOVEA_API Value floor_divide(const Value& a, const Value& b);  ///< of floats too, as torch's
FOVEA_API Value fmod(const Value& a, const Value& b);          ///< the remainder with the sign of a
FOVEA_API Value sign(const Value& x);                          ///< -1, 0 or 1, in the type of x
FOVEA_API Value to_float(const Value& x);
FOVEA_API Value to_int(const Value& x);   ///< towards zero; 0 for NaN and beyond 64 bits
FOVEA_API Value to_bool(const Value& x);  ///< x != 0

/// A tensor that a mod reads. The view is kept, not copied: the memory must outlive every use of
/// the program. Any dtype (floats are read as f32, integers as i32) and any rank; negative or
/// too large indices are errors, they are never wrapped or clamped.
class FOVEA_API Capture {
 public:
  explicit Capture(TensorView tensor) : tensor_(std::move(tensor)) {}
  const TensorView& tensor() const noexcept { return tensor_; }

  Value operator[](const Value& index) const;
  /// All indices at once: `bias(h, q - kv)`.
  template <class... Index>
    requires(sizeof...(Index) > 0 && (std::convertible_to<Index, Value> && ...))
  Value operator()(const Index&... index) const {
    const Value indices[] = {Value(index)...};
    return at(indices, static_cast<int>(sizeof...(Index)));
  }
  /// A row as a small vector, by all indices but the last: see <fovea/vector.h>. At most 128 elements.
  template <class... Index>
    requires(std::convertible_to<Index, Value> && ...)
  Vector row(const Index&... leading) const;
  /// A 0-d tensor is a number.
  operator Value() const;  // NOLINT: implicit by design

 private:
  Value at(const Value* indices, int count) const;
  std::vector<Value> row_of(const Value* leading, int count) const;
  TensorView tensor_;
};

inline Capture capture(TensorView tensor) { return Capture(std::move(tensor)); }

}  // namespace fovea
