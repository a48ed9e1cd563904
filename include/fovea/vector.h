// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <fovea/export.h>
#include <fovea/value.h>

/// Vector: a row of a captured tensor inside a mod, as a few symbolic numbers.
///
///     auto near = fovea::mask_mod([=](auto, auto, auto q, auto kv) {
///       return dot(embedding.row(q), embedding.row(kv)) > 0.5;
///     });
///
/// The length is known while tracing, and each element becomes a number of the program: a row of q alone
/// is read once for each query, not for each score.
namespace fovea {

class FOVEA_API Vector {
 public:
  static constexpr int64_t kMaxSize = 128;

  /// 0 to 128 elements. InvalidArgument beyond.
  explicit Vector(std::vector<Value> elements);
  /// A number stands for a vector of any length.
  Vector(const Value& number);  // NOLINT: implicit, as a number is for PyTorch
  template <class T>
    requires std::is_arithmetic_v<T>
  Vector(T literal) : Vector(Value(literal)) {}  // NOLINT: likewise

  int64_t size() const noexcept { return static_cast<int64_t>(elements_.size()); }
  const Value& operator[](int64_t i) const;  ///< InvalidArgument unless 0 <= i < size()

 private:
  friend class VectorPair;
  std::vector<Value> elements_;
  bool is_number_ = false;
};

/// Two vectors element by element: the same length, or one of them a number.
/// InvalidArgument if the lengths differ.
class FOVEA_API VectorPair {
 public:
  VectorPair(const Vector& a, const Vector& b);
  int64_t size() const noexcept { return size_; }
  bool is_number() const noexcept { return a_.is_number_ && b_.is_number_; }
  const Value& a(int64_t i) const { return a_[a_.is_number_ ? 0 : i]; }
  const Value& b(int64_t i) const { return b_[b_.is_number_ ? 0 : i]; }

 private:
  const Vector& a_;
  const Vector& b_;
  int64_t size_;
};

/// f(element) of each element; f(a, b) of each pair.
template <class F>
  requires std::is_invocable_r_v<Value, F&, const Value&>
Vector map(const Vector& v, F&& f) {
  std::vector<Value> results;
  for (int64_t i = 0; i < v.size(); ++i) results.push_back(f(v[i]));
  return Vector(std::move(results));
}
template <class F>
  requires std::is_invocable_r_v<Value, F&, const Value&, const Value&>
Vector map(const Vector& a, const Vector& b, F&& f) {
  const VectorPair pair(a, b);
  if (pair.is_number()) return Vector(f(pair.a(0), pair.b(0)));
  std::vector<Value> results;
  for (int64_t i = 0; i < pair.size(); ++i) results.push_back(f(pair.a(i), pair.b(i)));
  return Vector(std::move(results));
}

// Element by element, as the operators of Value.
FOVEA_API Vector operator+(const Vector& a, const Vector& b);
FOVEA_API Vector operator-(const Vector& a, const Vector& b);
FOVEA_API Vector operator*(const Vector& a, const Vector& b);
FOVEA_API Vector operator/(const Vector& a, const Vector& b);
FOVEA_API Vector operator==(const Vector& a, const Vector& b);
FOVEA_API Vector operator!=(const Vector& a, const Vector& b);
FOVEA_API Vector operator<(const Vector& a, const Vector& b);
FOVEA_API Vector operator<=(const Vector& a, const Vector& b);
FOVEA_API Vector operator>(const Vector& a, const Vector& b);
FOVEA_API Vector operator>=(const Vector& a, const Vector& b);
FOVEA_API Vector operator&(const Vector& a, const Vector& b);
FOVEA_API Vector operator|(const Vector& a, const Vector& b);
FOVEA_API Vector operator-(const Vector& v);
FOVEA_API Vector operator~(const Vector& v);

/// To one number, in a balanced tree (always the same one). Of no elements: 0, false, true; min and max of
/// none are InvalidArgument. sum of bools counts them; any and all take numbers as `!= 0`.
FOVEA_API Value sum(const Vector& v);
FOVEA_API Value any(const Vector& v);
FOVEA_API Value all(const Vector& v);
FOVEA_API Value dot(const Vector& a, const Vector& b);
FOVEA_API Value min(const Vector& v);
FOVEA_API Value max(const Vector& v);

template <class... Index>
  requires(std::convertible_to<Index, Value> && ...)
Vector Capture::row(const Index&... leading) const {
  const std::vector<Value> indices{Value(leading)...};
  return Vector(row_of(indices.data(), static_cast<int>(indices.size())));
}

}  // namespace fovea
