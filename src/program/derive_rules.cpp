// SPDX-License-Identifier: Apache-2.0
#include "program/derive_rules.h"

#include <numbers>
#include <string>

#include <fovea/error.h>
#include "program/fold.h"

namespace fovea::program {

namespace {

[[noreturn]] void fail_without_rule(Op op) {
  throw InternalError(
      std::string("[derive] rule: expected an operation that passes gradients on, ") + "got " +
      name_of(op));
}

}  // namespace

Gradient gradient_of(Op op) noexcept {
  switch (op) {
    case Op::input:
    case Op::param:
    case Op::gather:
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::div:
    case Op::mod:
    case Op::min:
    case Op::max:
    case Op::pow:
    case Op::neg:
    case Op::abs:
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
    case Op::where: return Gradient::flows;
    case Op::constant:
    case Op::floor:
    case Op::ceil:
    case Op::trunc:
    case Op::round:
    case Op::to_f32: return Gradient::zero;
    case Op::floor_div:
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::logical_and:
    case Op::logical_or:
    case Op::logical_not:
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor:
    case Op::bit_not:
    case Op::shift_left:
    case Op::shift_right:
    case Op::philox:
    case Op::to_i32:
    case Op::to_bool: return Gradient::none;
  }
  return Gradient::none;
}

Adjoint DerivativeRules::of_operand(NodeId result, std::size_t i, NodeId g) {
  const Op op = builder_.graph()[result].op;
  const auto arg = [&](std::size_t k) { return builder_.graph().args(result)[k]; };
  switch (op) {
    case Op::add: return {g};
    case Op::sub: return {i == 0 ? g : make(Op::neg, g)};
    case Op::mul: return {make(Op::mul, g, arg(1 - i))};
    case Op::div:
      if (i == 0) return {make(Op::div, g, arg(1))};
      return {make(Op::neg, make(Op::mul, g, make(Op::div, result, arg(1))))};
    case Op::mod: return {i == 0 ? g : of_mod(result, arg(0), arg(1), g)};
    case Op::min:
    case Op::max: return of_extremum(op, arg(i), arg(1 - i), g);
    case Op::pow: return of_pow(result, arg(0), arg(1), i, g);
    case Op::where: return guarded({g}, i == 1 ? arg(0) : make(Op::logical_not, arg(0)));
    case Op::neg:
    case Op::abs:
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
    case Op::erf: return {of_unary(op, result, arg(0), g)};
    case Op::input:
    case Op::constant:
    case Op::param:
    case Op::gather:
    case Op::floor_div:
    case Op::floor:
    case Op::ceil:
    case Op::trunc:
    case Op::round:
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::logical_and:
    case Op::logical_or:
    case Op::logical_not:
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor:
    case Op::bit_not:
    case Op::shift_left:
    case Op::shift_right:
    case Op::philox:
    case Op::to_f32:
    case Op::to_i32:
    case Op::to_bool: break;
  }
  fail_without_rule(op);
}

NodeId DerivativeRules::of_unary(Op op, NodeId r, NodeId x, NodeId g) {
  constexpr double kLn2 = std::numbers::ln2;
  const auto times = [&](NodeId factor) { return make(Op::mul, g, factor); };
  const auto complement = [&](NodeId y) { return make(Op::sub, number(1), y); };
  if (op == Op::neg) return make(Op::neg, g);
  if (op == Op::abs) {
    const NodeId below = where(make(Op::lt, x, number(0)), make(Op::neg, g), number(0));
    return where(make(Op::lt, number(0), x), g, below);
  }
  if (op == Op::exp) return times(r);
  if (op == Op::exp2) return times(make(Op::mul, number(kLn2), r));
  if (op == Op::log) return make(Op::div, g, x);
  if (op == Op::log2) return make(Op::div, g, make(Op::mul, number(kLn2), x));
  if (op == Op::tanh) return times(complement(make(Op::mul, r, r)));
  if (op == Op::sigmoid) return times(make(Op::mul, r, complement(r)));
  if (op == Op::sqrt) return make(Op::div, g, make(Op::mul, number(2), r));
  if (op == Op::rsqrt) {
    return times(make(Op::mul, number(-0.5), make(Op::mul, r, make(Op::mul, r, r))));
  }
  if (op == Op::sin) return times(make(Op::cos, x));
  if (op == Op::cos) return make(Op::neg, times(make(Op::sin, x)));
  if (op == Op::erf) {
    const NodeId bell = make(Op::exp, make(Op::neg, make(Op::mul, x, x)));
    return times(make(Op::mul, number(2 * std::numbers::inv_sqrtpi), bell));
  }
  fail_without_rule(op);
}

// The operand that wins takes all; of equal ones each takes half, as in torch.minimum. A literal is a
// bound and not a rival: at the bound, too, all goes to the other operand, as in torch.clamp.
Adjoint DerivativeRules::of_extremum(Op op, NodeId x, NodeId other, NodeId g) {
  const auto is_beyond = [&](Op compare, NodeId a, NodeId b) {
    return op == Op::max ? make(compare, b, a) : make(compare, a, b);
  };
  const auto is_literal = [&](NodeId id) {
    const Op kind = builder_.graph()[id].op;
    return kind == Op::param || kind == Op::constant;
  };
  if (is_literal(other)) return guarded({g}, is_beyond(Op::le, x, other));
  if (is_literal(x)) return guarded({g}, is_beyond(Op::lt, x, other));
  const NodeId half = make(Op::mul, g, number(0.5));
  const NodeId shared = where(make(Op::eq, x, other), half, g);
  return guarded({shared}, make(Op::logical_not, is_beyond(Op::lt, other, x)));
}

Adjoint DerivativeRules::of_pow(NodeId result, NodeId base, NodeId exponent, std::size_t i,
                                NodeId g) {
  const NodeId zero = number(0);
  if (i == 0) {
    const NodeId lower = make(Op::pow, base, make(Op::sub, exponent, number(1)));
    const NodeId slope = make(Op::mul, g, make(Op::mul, exponent, lower));
    return guarded({slope}, make(Op::ne, exponent, zero));
  }
  const NodeId flat = make(Op::logical_and, make(Op::eq, base, zero), make(Op::le, zero, exponent));
  const NodeId slope = make(Op::mul, g, make(Op::mul, result, make(Op::log, base)));
  return guarded({slope}, make(Op::logical_not, flat));
}

// a % b = a - b * n with a whole n, which (a - a % b) / b gives back.
NodeId DerivativeRules::of_mod(NodeId result, NodeId a, NodeId b, NodeId g) {
  const NodeId whole = make(Op::round, make(Op::div, make(Op::sub, a, result), b));
  return make(Op::neg, make(Op::mul, g, whole));
}

Adjoint DerivativeRules::guarded(Adjoint adjoint, NodeId guard) {
  if (adjoint.guard >= 0 && guard >= 0) guard = make(Op::logical_and, adjoint.guard, guard);
  if (guard < 0) guard = adjoint.guard;
  if (guard < 0 || is_bool(guard, true)) return {adjoint.value};
  return is_bool(guard, false) ? Adjoint{} : Adjoint{adjoint.value, guard};
}

Adjoint DerivativeRules::sum(Adjoint a, Adjoint b) {
  if (!a) return b;
  if (!b) return a;
  if (a.guard == b.guard) return {make(Op::add, a.value, b.value), a.guard};
  NodeId either = -1;
  if (a.guard >= 0 && b.guard >= 0) {
    either = make(Op::logical_or, a.guard, b.guard);
    // Both sides of one where.
    const bool never_both = is_bool(make(Op::logical_and, a.guard, b.guard), false);
    if (never_both) return guarded({where(a.guard, a.value, b.value)}, either);
  }
  return guarded({make(Op::add, selected(a), selected(b))}, either);
}

NodeId DerivativeRules::selected(Adjoint adjoint) {
  if (!adjoint) return number(0);
  return adjoint.guard < 0 ? adjoint.value : where(adjoint.guard, adjoint.value, number(0));
}

NodeId DerivativeRules::number(double value) { return builder_.constant(make_float(value)); }

bool DerivativeRules::is_bool(NodeId id, bool value) const {
  const Node& node = builder_.graph()[id];
  return node.op == Op::constant && node.literal.i == (value ? 1 : 0);
}

}  // namespace fovea::program
