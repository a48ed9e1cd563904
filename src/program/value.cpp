// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <vector>

#include <fovea/value.h>
#include <fovea/vector.h>
#include "core/fail.h"
#include "program/builder.h"
#include "program/fold.h"

namespace fovea {

using program::Builder;
using program::Op;

namespace {

Value make(Op op, std::initializer_list<const Value*> operands) {
  Builder& builder = Builder::current();
  std::array<program::NodeId, 3> ids{};
  std::size_t count = 0;
  for (const Value* operand : operands) ids[count++] = builder.unwrap(*operand);
  return builder.wrap(builder.make(op, std::span(ids.data(), count)));
}

Value make_literal(const Literal& literal) {
  Builder& builder = Builder::current();
  return builder.wrap(builder.literal(literal));
}

bool is_integral(const Value& value) { return value.type() != ScalarType::f32; }

}  // namespace

Value Value::from_bool(bool literal) { return make_literal(program::make_bool(literal)); }
Value Value::from_int(int64_t literal) { return make_literal(program::make_int(literal)); }
Value Value::from_float(double literal) { return make_literal(program::make_float(literal)); }

Value Value::from_unsigned(uint64_t literal) {
  constexpr auto kLimit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (literal > kLimit) {
    core::fail_argument("trace", "integer literal", "at most " + std::to_string(kLimit),
                        std::to_string(literal));
  }
  return from_int(static_cast<int64_t>(literal));
}

ScalarType Value::type() const {
  Builder& builder = Builder::current();
  return builder.type(builder.unwrap(*this));
}

Value Value::operator[](const Value& index) const {
  Builder& builder = Builder::current();
  return builder.wrap(builder.index(builder.unwrap(*this), builder.unwrap(index)));
}

Value operator+(const Value& a, const Value& b) { return make(Op::add, {&a, &b}); }
Value operator-(const Value& a, const Value& b) { return make(Op::sub, {&a, &b}); }
Value operator*(const Value& a, const Value& b) { return make(Op::mul, {&a, &b}); }
Value operator/(const Value& a, const Value& b) {
  return make(is_integral(a) && is_integral(b) ? Op::floor_div : Op::div, {&a, &b});
}
Value operator%(const Value& a, const Value& b) { return make(Op::mod, {&a, &b}); }
Value operator-(const Value& a) { return make(Op::neg, {&a}); }
Value operator+(const Value& a) { return a; }

Value operator==(const Value& a, const Value& b) { return make(Op::eq, {&a, &b}); }
Value operator!=(const Value& a, const Value& b) { return make(Op::ne, {&a, &b}); }
Value operator<(const Value& a, const Value& b) { return make(Op::lt, {&a, &b}); }
Value operator<=(const Value& a, const Value& b) { return make(Op::le, {&a, &b}); }
Value operator>(const Value& a, const Value& b) { return make(Op::lt, {&b, &a}); }
Value operator>=(const Value& a, const Value& b) { return make(Op::le, {&b, &a}); }
Value operator&&(const Value& a, const Value& b) { return make(Op::logical_and, {&a, &b}); }
Value operator||(const Value& a, const Value& b) { return make(Op::logical_or, {&a, &b}); }
Value operator!(const Value& a) { return make(Op::logical_not, {&a}); }

Value operator&(const Value& a, const Value& b) { return make(Op::bit_and, {&a, &b}); }
Value operator|(const Value& a, const Value& b) { return make(Op::bit_or, {&a, &b}); }
Value operator^(const Value& a, const Value& b) { return make(Op::bit_xor, {&a, &b}); }
Value operator~(const Value& a) {
  return make(a.type() == ScalarType::boolean ? Op::logical_not : Op::bit_not, {&a});
}
Value operator<<(const Value& a, const Value& count) { return make(Op::shift_left, {&a, &count}); }
Value operator>>(const Value& a, const Value& count) { return make(Op::shift_right, {&a, &count}); }

Value random_bits(const Value& key, const Value& a, const Value& b) {
  return make(Op::philox, {&key, &a, &b});
}

Value where(const Value& condition, const Value& a, const Value& b) {
  return make(Op::where, {&condition, &a, &b});
}
Value min(const Value& a, const Value& b) { return make(Op::min, {&a, &b}); }
Value max(const Value& a, const Value& b) { return make(Op::max, {&a, &b}); }
Value clamp(const Value& x, const Value& low, const Value& high) { return min(max(x, low), high); }
Value abs(const Value& x) { return make(Op::abs, {&x}); }
Value exp(const Value& x) { return make(Op::exp, {&x}); }
Value exp2(const Value& x) { return make(Op::exp2, {&x}); }
Value log(const Value& x) { return make(Op::log, {&x}); }
Value log2(const Value& x) { return make(Op::log2, {&x}); }
Value tanh(const Value& x) { return make(Op::tanh, {&x}); }
Value sigmoid(const Value& x) { return make(Op::sigmoid, {&x}); }
Value sqrt(const Value& x) { return make(Op::sqrt, {&x}); }
Value rsqrt(const Value& x) { return make(Op::rsqrt, {&x}); }
Value sin(const Value& x) { return make(Op::sin, {&x}); }
Value cos(const Value& x) { return make(Op::cos, {&x}); }
Value erf(const Value& x) { return make(Op::erf, {&x}); }
Value floor(const Value& x) { return make(Op::floor, {&x}); }
Value ceil(const Value& x) { return make(Op::ceil, {&x}); }
Value trunc(const Value& x) { return make(Op::trunc, {&x}); }
Value round(const Value& x) { return make(Op::round, {&x}); }
Value pow(const Value& base, const Value& exponent) { return make(Op::pow, {&base, &exponent}); }
Value floor_divide(const Value& a, const Value& b) {
  if (is_integral(a) && is_integral(b)) return a / b;
  // (a - a % b) / b is a whole number but for its rounding.
  const Value quotient = a / b;
  return where(b == 0, quotient, round((a - a % b) / b));
}
Value fmod(const Value& a, const Value& b) {
  // Without abs(a), whose derivative at 0 is 0.
  const Value modulus = abs(b);
  return where(a < 0, -(-a % modulus), a % modulus);
}
Value sign(const Value& x) {
  if (x.type() == ScalarType::boolean) return x;
  const Value side = to_int(x > 0) - to_int(x < 0);
  return x.type() == ScalarType::f32 ? where(x == x, to_float(side), x) : side;
}
Value to_float(const Value& x) { return make(Op::to_f32, {&x}); }
Value to_int(const Value& x) { return make(Op::to_i32, {&x}); }
Value to_bool(const Value& x) { return make(Op::to_bool, {&x}); }

Value Capture::operator[](const Value& index) const { return at(&index, 1); }
Capture::operator Value() const { return at(nullptr, 0); }

Value Capture::at(const Value* indices, int count) const {
  Builder& builder = Builder::current();
  std::vector<program::NodeId> ids;
  ids.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) ids.push_back(builder.unwrap(indices[i]));
  return builder.wrap(builder.gather(builder.capture(tensor_), ids));
}

std::vector<Value> Capture::row_of(const Value* leading, int count) const {
  core::require(tensor_.rank() > 0 && count == tensor_.rank() - 1, "trace",
                "indices of a row must be all but the last",
                std::to_string(tensor_.rank() - 1) + " (the tensor's rank - 1)", count);
  const int64_t size = tensor_.size(count);
  core::require(size <= Vector::kMaxSize, "trace", "length of a row of a captured tensor",
                "at most " + std::to_string(Vector::kMaxSize), size);
  std::vector<Value> indices(leading, leading + count);
  std::vector<Value> elements;
  for (int64_t i = 0; i < size; ++i) {
    // A constant: a row's shape is part of the program's structure.
    indices.push_back(Builder::current().wrap(Builder::current().constant(program::make_int(i))));
    elements.push_back(at(indices.data(), count + 1));
    indices.pop_back();
  }
  return elements;
}

}  // namespace fovea
