// SPDX-License-Identifier: Apache-2.0
#include "program/simplify_rules.h"

#include <bit>
#include <utility>

#include "program/fold.h"

namespace fovea::program {

// A rule may lose a fault (fold.h) of an operand that no longer matters; it never adds one.

bool Rewriter::is_int(NodeId id, int64_t value) const {
  return is(id, Op::constant) && !is_float(id) && node(id).literal.i == value;
}

bool Rewriter::is_float(NodeId id, double value) const {
  return is(id, Op::constant) && is_float(id) &&
         std::bit_cast<uint64_t>(node(id).literal.f) == std::bit_cast<uint64_t>(value);
}

bool Rewriter::is_not_of(NodeId a, NodeId b) const {
  if (is(a, Op::logical_not) && arg(a, 0) == b) return true;
  if (is(b, Op::logical_not) && arg(b, 0) == a) return true;
  if (is(b, Op::ne) || is(b, Op::lt)) std::swap(a, b);
  if (is(a, Op::ne) && is(b, Op::eq)) return arg(a, 0) == arg(b, 0) && arg(a, 1) == arg(b, 1);
  return is(a, Op::lt) && is(b, Op::le) && !is_float(arg(a, 0)) && arg(a, 0) == arg(b, 1) &&
         arg(a, 1) == arg(b, 0);
}

NodeId Rewriter::constant_int(int64_t value) { return builder_.constant(make_int(value)); }
NodeId Rewriter::constant_bool(bool value) { return builder_.constant(make_bool(value)); }

NodeId Rewriter::make(Op op, std::span<const NodeId> args) {
  bool all_constant = true;
  for (const NodeId arg : args) all_constant &= is(arg, Op::constant);
  const NodeId simpler = all_constant ? -1 : rewrite(op, args);
  return simpler >= 0 ? simpler : builder_.make(op, args);
}

NodeId Rewriter::rewrite(Op op, std::span<const NodeId> args) {
  switch (op) {
    case Op::add:
    case Op::sub: return rewrite_sum(op, args[0], args[1]);
    case Op::mul:
    case Op::div:
    case Op::pow: return rewrite_product(op, args[0], args[1]);
    case Op::floor_div:
    case Op::mod: return rewrite_division(op, args[0], args[1]);
    case Op::min:
    case Op::max: return rewrite_extremum(args[0], args[1]);
    case Op::neg:
    case Op::abs:
    case Op::bit_not: return rewrite_sign(op, args[0]);
    case Op::floor:
    case Op::ceil:
    case Op::trunc:
    case Op::round: return rewrite_rounding(args[0]);
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le: return rewrite_comparison(op, args[0], args[1]);
    case Op::logical_and:
    case Op::logical_or: return rewrite_logical(op, args[0], args[1]);
    case Op::logical_not: return rewrite_not(args[0]);
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor: return rewrite_bits(op, args[0], args[1]);
    case Op::shift_left:
    case Op::shift_right: return rewrite_shift(args[0], args[1]);
    case Op::where: return rewrite_where(args[0], args[1], args[2]);
    case Op::to_f32:
    case Op::to_i32:
    case Op::to_bool: return rewrite_cast(op, args[0]);
    case Op::exp:
    case Op::exp2:
    case Op::log:
    case Op::log2:
    case Op::tanh:
    case Op::sigmoid:
    case Op::sqrt:
    case Op::rsqrt:
    case Op::sin:
    case Op::cos:
    case Op::erf:
    case Op::philox: return -1;
    case Op::input:
    case Op::constant:
    case Op::param:
    case Op::gather: return -1;
  }
  return -1;
}

NodeId Rewriter::rewrite_sum(Op op, NodeId a, NodeId b) {
  const bool adds = op == Op::add;
  if (is_float(a)) {  // only these zeros change nothing: 0.0 + -0.0 is 0.0
    if (is_float(b, adds ? -0.0 : 0.0)) return a;
    if (adds && is_float(a, -0.0)) return b;
  } else {
    if (is_int(b, 0)) return a;
    if (adds && is_int(a, 0)) return b;
    if (!adds && is_int(a, 0)) return make(Op::neg, {b});
    if (!adds && a == b) return constant_int(0);
  }
  if (is(b, Op::neg)) return make(adds ? Op::sub : Op::add, {a, arg(b, 0)});
  if (adds && is(a, Op::neg)) return make(Op::sub, {b, arg(a, 0)});
  return -1;
}

NodeId Rewriter::rewrite_product(Op op, NodeId a, NodeId b) {
  if (op == Op::pow) {
    if (is_float(b, 1.0)) return a;
    if (is_float(b, 0.0) || is_float(b, -0.0)) return builder_.constant(make_float(1));
    return -1;
  }
  if (is_float(b, 1.0)) return a;
  if (is_float(b, -1.0)) return make(Op::neg, {a});
  if (op == Op::div) return -1;
  if (is_float(a, 1.0) || is_int(a, 1)) return b;
  if (is_float(a, -1.0) || is_int(a, -1)) return make(Op::neg, {b});
  if (is_int(b, 1)) return a;
  if (is_int(b, -1)) return make(Op::neg, {a});
  return is_int(a, 0) || is_int(b, 0) ? constant_int(0) : -1;
}

NodeId Rewriter::rewrite_division(Op op, NodeId a, NodeId b) {
  if (is_float(b) || !is(b, Op::constant)) return -1;
  const int64_t divisor = node(b).literal.i;
  if (op == Op::mod) {
    if (divisor == 1 || divisor == -1) return constant_int(0);
    return divisor != 0 && is(a, Op::mod) && arg(a, 1) == b ? a : -1;
  }
  if (divisor == 1) return a;
  if (divisor <= 0 || !is(a, Op::floor_div) || !is(arg(a, 1), Op::constant)) return -1;
  const int64_t inner = node(arg(a, 1)).literal.i;
  int64_t product = 0;
  if (inner <= 0 || __builtin_mul_overflow(inner, divisor, &product)) return -1;
  return make(Op::floor_div, {arg(a, 0), constant_int(product)});
}

NodeId Rewriter::rewrite_extremum(NodeId a, NodeId b) { return a == b ? a : -1; }

NodeId Rewriter::rewrite_sign(Op op, NodeId a) {
  if (op == Op::abs) {
    if (is(a, Op::abs)) return a;
    return is(a, Op::neg) ? make(Op::abs, {arg(a, 0)}) : -1;
  }
  if (is(a, op)) return arg(a, 0);
  if (op == Op::neg && is(a, Op::sub) && !is_float(a)) {  // floats: -(x - x) is -0.0
    return make(Op::sub, {arg(a, 1), arg(a, 0)});
  }
  return -1;
}

NodeId Rewriter::rewrite_rounding(NodeId a) {
  const bool is_whole = is(a, Op::to_f32) || is(a, Op::floor) || is(a, Op::ceil) ||
                        is(a, Op::trunc) || is(a, Op::round);
  return is_whole ? a : -1;
}

NodeId Rewriter::rewrite_comparison(Op op, NodeId a, NodeId b) {
  if (a == b && op == Op::lt) return constant_bool(false);
  if (is_float(a)) return -1;
  if (a == b) return constant_bool(op != Op::ne);
  if (!is_bool(a) || op == Op::lt || op == Op::le) return -1;
  if (is(a, Op::constant)) std::swap(a, b);
  if (!is(b, Op::constant)) return -1;
  const bool same = is_int(b, op == Op::eq ? 1 : 0);
  return same ? a : make(Op::logical_not, {a});
}

NodeId Rewriter::rewrite_logical(Op op, NodeId a, NodeId b) {
  const int64_t deciding = op == Op::logical_and ? 0 : 1;
  const Op dual = op == Op::logical_and ? Op::logical_or : Op::logical_and;
  if (a == b) return a;
  if (is_int(a, deciding) || is_int(b, deciding) || is_not_of(a, b)) {
    return constant_bool(deciding != 0);
  }
  if (is_int(a, 1 - deciding)) return b;
  if (is_int(b, 1 - deciding)) return a;
  const auto reads = [this](NodeId id, NodeId operand) {
    return arg(id, 0) == operand || arg(id, 1) == operand;
  };
  if (is(b, op) && reads(b, a)) return b;
  if (is(a, op) && reads(a, b)) return a;
  if (is(b, dual) && reads(b, a)) return a;
  if (is(a, dual) && reads(a, b)) return b;
  return -1;
}

NodeId Rewriter::rewrite_not(NodeId a) {
  if (is(a, Op::logical_not)) return arg(a, 0);
  if (is(a, Op::eq)) return make(Op::ne, {arg(a, 0), arg(a, 1)});
  if (is(a, Op::ne)) return make(Op::eq, {arg(a, 0), arg(a, 1)});
  const bool compares = is(a, Op::lt) || is(a, Op::le);
  if (!compares || is_float(arg(a, 0))) return -1;  // a NaN is neither < nor >=
  return make(is(a, Op::lt) ? Op::le : Op::lt, {arg(a, 1), arg(a, 0)});
}

NodeId Rewriter::rewrite_bits(Op op, NodeId a, NodeId b) {
  if (is_bool(a)) {
    if (op == Op::bit_xor) return make(Op::ne, {a, b});
    return make(op == Op::bit_and ? Op::logical_and : Op::logical_or, {a, b});
  }
  if (op == Op::bit_xor) {
    if (a == b) return constant_int(0);
    if (is_int(b, 0)) return a;
    if (is_int(a, 0)) return b;
    if (is_int(b, -1)) return make(Op::bit_not, {a});
    return is_int(a, -1) ? make(Op::bit_not, {b}) : -1;
  }
  if (a == b) return a;
  const int64_t deciding = op == Op::bit_and ? 0 : -1;
  if (is_int(a, deciding) || is_int(b, deciding)) return constant_int(deciding);
  if (is_int(a, ~deciding)) return b;
  return is_int(b, ~deciding) ? a : -1;
}

NodeId Rewriter::rewrite_shift(NodeId a, NodeId count) { return is_int(count, 0) ? a : -1; }

NodeId Rewriter::rewrite_where(NodeId condition, NodeId a, NodeId b) {
  if (a == b) return a;
  if (is(condition, Op::constant)) return is_int(condition, 0) ? b : a;
  if (is(condition, Op::logical_not)) return make(Op::where, {arg(condition, 0), b, a});
  if (is(a, Op::where) && arg(a, 0) == condition) return make(Op::where, {condition, arg(a, 1), b});
  if (is(b, Op::where) && arg(b, 0) == condition) return make(Op::where, {condition, a, arg(b, 2)});
  if (!is_bool(a)) return -1;
  if (is_int(b, 0)) return make(Op::logical_and, {condition, a});
  if (is_int(a, 1)) return make(Op::logical_or, {condition, b});
  if (!is_int(a, 0) && !is_int(b, 1)) return -1;
  const NodeId otherwise = make(Op::logical_not, {condition});
  return is_int(a, 0) ? make(Op::logical_and, {otherwise, b})
                      : make(Op::logical_or, {otherwise, a});
}

NodeId Rewriter::rewrite_cast(Op op, NodeId a) {
  const bool of_cast = is(a, Op::to_f32) || is(a, Op::to_i32);
  if (op == Op::to_i32 && is(a, Op::trunc)) return make(Op::to_i32, {arg(a, 0)});
  if (!of_cast) return -1;
  const NodeId source = arg(a, 0);
  if (is_bool(source)) return op == Op::to_bool ? source : make(op, {source});
  if (op == Op::to_bool && is(a, Op::to_f32)) return make(Op::to_bool, {source});
  return -1;
}

}  // namespace fovea::program
