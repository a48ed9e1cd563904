// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <span>

#include "program/builder.h"

/// The rules of simplify, one function for each family of operations.
namespace fovea::program {

/// Makes nodes in their simplest form. Each rule gives the node to use instead, or -1.
class Rewriter {
 public:
  explicit Rewriter(Builder& builder) : builder_(builder) {}

  /// `args` have the operation's operand types and are in their simplest form.
  NodeId make(Op op, std::span<const NodeId> args);
  NodeId make(Op op, std::initializer_list<NodeId> args) {
    return make(op, std::span(args.begin(), args.size()));
  }

 private:
  NodeId rewrite(Op op, std::span<const NodeId> args);
  NodeId rewrite_sum(Op op, NodeId a, NodeId b);
  NodeId rewrite_product(Op op, NodeId a, NodeId b);
  NodeId rewrite_division(Op op, NodeId a, NodeId b);
  NodeId rewrite_extremum(NodeId a, NodeId b);
  NodeId rewrite_sign(Op op, NodeId a);
  NodeId rewrite_rounding(NodeId a);
  NodeId rewrite_comparison(Op op, NodeId a, NodeId b);
  NodeId rewrite_logical(Op op, NodeId a, NodeId b);
  NodeId rewrite_not(NodeId a);
  NodeId rewrite_bits(Op op, NodeId a, NodeId b);
  NodeId rewrite_shift(NodeId a, NodeId count);
  NodeId rewrite_where(NodeId condition, NodeId a, NodeId b);
  NodeId rewrite_cast(Op op, NodeId a);

  const Node& node(NodeId id) const { return builder_.graph()[id]; }
  NodeId arg(NodeId id, std::size_t i) const { return builder_.graph().args(id)[i]; }
  bool is(NodeId id, Op op) const { return node(id).op == op; }
  bool is_float(NodeId id) const { return node(id).type == ScalarType::f32; }
  bool is_bool(NodeId id) const { return node(id).type == ScalarType::boolean; }
  bool is_int(NodeId id, int64_t value) const;   // the constant, of type i32 or bool
  bool is_float(NodeId id, double value) const;  // the constant, to the bit
  bool is_not_of(NodeId a, NodeId b) const;      // one is the negation of the other
  NodeId constant_int(int64_t value);
  NodeId constant_bool(bool value);

  Builder& builder_;
};

/// Copies a graph, operands first, each node in its simplest form; gives the copy of the root. Parameters stay
/// opaque, and they and the captures keep their order: in a fresh builder their slots are the graph's.
NodeId rebuild_simplified(const Graph& graph, Builder& builder, Rewriter& rewriter);

}  // namespace fovea::program
