// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "program/simplify_rules.h"

/// The derivative of each operation (docs/derivatives.md): what its operands receive of the gradient
/// of its result. Conventions are torch's.
namespace fovea::program {

/// What becomes of a gradient at an operation.
enum class Gradient : uint8_t {
  flows,  // to the operands, by a rule
  zero,   // ends: the result is a float, its derivative is 0 wherever there is one
  none,   // never arrives: the result is no float
};
Gradient gradient_of(Op op) noexcept;

/// A gradient: `value` where `guard` (a bool; -1: everywhere) holds, and 0 elsewhere, whatever
/// `value` is there. So the side of a `where` that is not taken never leaks a NaN, a fault or an
/// index outside its tensor.
struct Adjoint {
  NodeId value = -1;
  NodeId guard = -1;
  explicit operator bool() const noexcept { return value >= 0; }
};

class DerivativeRules {
 public:
  DerivativeRules(Builder& builder, Rewriter& rewriter) : builder_(builder), rewriter_(rewriter) {}

  /// d loss / d operand i of `result`, an operation whose gradient flows; g = d loss / d result.
  Adjoint of_operand(NodeId result, std::size_t i, NodeId g);

  // Adjoints. Guards that turn out constant disappear, and with a false one the adjoint.
  Adjoint guarded(Adjoint adjoint, NodeId guard);  // where the guard holds, too
  Adjoint sum(Adjoint a, Adjoint b);
  NodeId selected(Adjoint adjoint);  // as one node

 private:
  NodeId of_unary(Op op, NodeId result, NodeId x, NodeId g);
  Adjoint of_extremum(Op op, NodeId x, NodeId other, NodeId g);
  Adjoint of_pow(NodeId result, NodeId base, NodeId exponent, std::size_t i, NodeId g);
  NodeId of_mod(NodeId result, NodeId a, NodeId b, NodeId g);

  NodeId make(Op op, NodeId a) { return rewriter_.make(op, {a}); }
  NodeId make(Op op, NodeId a, NodeId b) { return rewriter_.make(op, {a, b}); }
  NodeId where(NodeId c, NodeId a, NodeId b) { return rewriter_.make(Op::where, {c, a, b}); }
  NodeId number(double value);
  bool is_bool(NodeId id, bool value) const;

  Builder& builder_;
  Rewriter& rewriter_;
};

}  // namespace fovea::program
