// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "program/interpret.h"

/// One element, node by node: the engine under interpret(), and under the parts of a row that the
/// row interpreter evaluates once.
namespace fovea::program {

/// Faults (an index out of range, an integer that leaves 64 bits, a division by zero) are carried
/// like poison and become an error only if the result depends on them: the branch of a `where` that
/// is not taken, or the side of an && or || that does not decide, may have any.
class ElementState {
 public:
  explicit ElementState(const Program& program);

  void evaluate(NodeId id, const Inputs& inputs);
  const Literal& value(NodeId id) const { return values_[static_cast<std::size_t>(id)]; }
  bool has_fault(NodeId id) const { return faults_[static_cast<std::size_t>(id)] >= 0; }

  /// All nodes; the root's value, or the InvalidArgument that its fault is.
  Literal run(const Inputs& inputs);
  /// The same of any node, once `inputs` ran.
  Literal result(NodeId id, const Inputs& inputs) const;

 private:
  NodeId fault(NodeId id) const { return faults_[static_cast<std::size_t>(id)]; }
  NodeId& fault(NodeId id) { return faults_[static_cast<std::size_t>(id)]; }
  NodeId propagated_fault(const Node& node) const;
  void evaluate_gather(NodeId id);
  [[noreturn]] void fail(NodeId origin, const Inputs& inputs) const;

  const Program* program_;
  const Graph* graph_;
  std::vector<Literal> values_;
  std::vector<NodeId> faults_;  // the node where it arose, or -1
};

/// InvalidArgument unless the tensor can be read here: it has memory, on the CPU.
void require_readable(const TensorView& tensor, int slot);

}  // namespace fovea::program
