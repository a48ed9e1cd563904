// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include "program/canonical.h"
#include "program/graph.h"

/// Builds graphs: checks and promotes types, hash-conses, folds operations on literals exactly.
/// Tracing, parsing, simplify and derive all build through it.
namespace fovea::program {

class Builder {
 public:
  explicit Builder(ModKind kind);
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  NodeId input(Input input);  // InvalidArgument: a mask has no score
  /// A literal of a mod: a parameter slot of its own, unless the value shapes the code (then a
  /// constant). It takes the type of its use and is folded with other literals.
  NodeId literal(const Literal& value);
  NodeId constant(const Literal& value);  // a part of the structure
  NodeId param(const Literal& value);     // a new slot, opaque: never folded or made a constant

  int32_t capture(const TensorView& tensor);           // slot; the same view, the same slot
  int32_t capture(const CaptureSignature& signature);  // unbound (parsing without tensors)
  int32_t new_capture(const TensorView& tensor);       // a slot of its own
  NodeId gather(int32_t slot, std::span<const NodeId> indices);  // fewer than rank: partly indexed
  NodeId index(NodeId partly_indexed, NodeId index);             // one more index
  NodeId make(Op op, std::span<const NodeId> operands);          // promotes, folds, hash-conses
  NodeId make(Op op, std::initializer_list<NodeId> operands) {
    return make(op, std::span(operands.begin(), operands.size()));
  }
  ScalarType type(NodeId id) const;
  const Graph& graph() const;  // under construction, not canonical

  /// Checks the result's type, drops what the root does not need, renumbers canonically, binds.
  Program finish(NodeId root);
  Program finish(NodeId root, ModKind kind);  // when the kind shows at the end only
  /// The same without binding: slots of the canonical graph -> slots of this builder.
  Canonical finish_graph(NodeId root, ModKind kind);

  /// Copies a program's nodes into this builder (its parameters stay opaque); `inputs` replaces its
  /// inputs, indexed by Input (-1: not replaced), or is empty.
  NodeId import(const Program& program, std::span<const NodeId> inputs = {});

  /// The builder of the trace that runs on this thread; InvalidArgument if there is none.
  static Builder& current();
  Value wrap(NodeId id);
  NodeId unwrap(const Value& value);  // InvalidArgument: a value of another trace

  class Scope;  // makes a builder current while it lives

 private:
  struct State;
  NodeId add(Node node, std::span<const NodeId> operands);
  bool is_foldable(NodeId id) const;  // a constant or a literal
  Literal value_of(NodeId id) const;
  NodeId convert(NodeId id, ScalarType type);
  NodeId as_constant(NodeId literal);
  // promotion.cpp. -1: no rule of its own.
  NodeId make_as_torch(Op op, std::span<const NodeId> operands, std::span<const ScalarType> types);
  NodeId integer_power(NodeId base, NodeId exponent);
  void check_operand(Op op, NodeId id) const;
  std::unique_ptr<State> state_;
};

class Builder::Scope {
 public:
  explicit Scope(Builder& builder);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Builder* previous_;
};

}  // namespace fovea::program
