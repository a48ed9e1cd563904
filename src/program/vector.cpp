// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include <fovea/vector.h>
#include "core/fail.h"

namespace fovea {

namespace {

// Halves, so that the depth is the logarithm of the length.
template <class F>
Value tree(const Vector& v, int64_t first, int64_t last, F&& join) {
  if (first == last) return v[first];
  const int64_t middle = first + (last - first) / 2;
  return join(tree(v, first, middle, join), tree(v, middle + 1, last, join));
}

template <class F>
Value reduce(const Vector& v, F&& join) {
  return tree(v, 0, v.size() - 1, join);
}

void require_elements(const Vector& v, const char* what) {
  core::require(v.size() > 0, "trace", what, "at least 1 element", v.size());
}

Vector as_bools(const Vector& v) {
  return map(v, [](const Value& x) { return to_bool(x); });
}

}  // namespace

Vector::Vector(std::vector<Value> elements) : elements_(std::move(elements)) {
  core::require(size() <= kMaxSize, "trace", "length of a vector",
                "at most " + std::to_string(kMaxSize), size());
}

Vector::Vector(const Value& number) : elements_{number}, is_number_(true) {}

const Value& Vector::operator[](int64_t i) const {
  core::require(i >= 0 && i < size(), "trace", "index of a vector",
                "0 to " + std::to_string(size() - 1), i);
  return elements_[static_cast<std::size_t>(i)];
}

VectorPair::VectorPair(const Vector& a, const Vector& b)
    : a_(a), b_(b), size_(a.is_number_ ? b.size() : a.size()) {
  core::require(a.is_number_ || b.is_number_ || a.size() == b.size(), "trace",
                "vectors used together must have the same length", std::to_string(a.size()),
                b.size());
}

Vector operator+(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x + y; });
}
Vector operator-(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x - y; });
}
Vector operator*(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x * y; });
}
Vector operator/(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x / y; });
}
Vector operator==(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x == y; });
}
Vector operator!=(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x != y; });
}
Vector operator<(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x < y; });
}
Vector operator<=(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x <= y; });
}
Vector operator>(const Vector& a, const Vector& b) { return b < a; }
Vector operator>=(const Vector& a, const Vector& b) { return b <= a; }
Vector operator&(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x & y; });
}
Vector operator|(const Vector& a, const Vector& b) {
  return map(a, b, [](const Value& x, const Value& y) { return x | y; });
}
Vector operator-(const Vector& v) {
  return map(v, [](const Value& x) { return -x; });
}
Vector operator~(const Vector& v) {
  return map(v, [](const Value& x) { return ~x; });
}

Value sum(const Vector& v) {
  if (v.size() == 0) return 0.0;
  const Vector numbers =
      map(v, [](const Value& x) { return x.type() == ScalarType::boolean ? to_int(x) : x; });
  return reduce(numbers, [](const Value& x, const Value& y) { return x + y; });
}

Value any(const Vector& v) {
  if (v.size() == 0) return false;
  return reduce(as_bools(v), [](const Value& x, const Value& y) { return x || y; });
}

Value all(const Vector& v) {
  if (v.size() == 0) return true;
  return reduce(as_bools(v), [](const Value& x, const Value& y) { return x && y; });
}

Value dot(const Vector& a, const Vector& b) { return sum(a * b); }

Value min(const Vector& v) {
  require_elements(v, "min of a vector");
  return reduce(v, [](const Value& x, const Value& y) { return min(x, y); });
}

Value max(const Vector& v) {
  require_elements(v, "max of a vector");
  return reduce(v, [](const Value& x, const Value& y) { return max(x, y); });
}

}  // namespace fovea
