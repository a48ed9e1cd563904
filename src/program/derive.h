// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "program/element.h"
#include "program/graph.h"

/// Reverse-mode differentiation of a score_mod or weight_mod: the program of the backward pass.
namespace fovea::program {

/// What wants a gradient besides the score: slots of floating-point captures and of f32 parameters.
struct Wanted {
  std::vector<int32_t> captures;
  std::vector<int32_t> params;
};
Wanted all_captures(const Graph& graph);  // every floating-point one, no parameter

/// One graph, simplified, that computes from score, b, h, q, kv and dout = d loss / d result:
/// the result again, dscore, and what each wanted value receives. Parameters and captures have the
/// slots of the program it was derived from, so its bindings are that program's.
struct JointProgram {
  /// `d tensor[index] += value`, for every element of the attention matrix.
  struct Contribution {
    int32_t slot = 0;           // of the capture, or of the parameter
    std::vector<NodeId> index;  // i32, one a dimension; none for a parameter
    NodeId value = -1;          // f32
    /// bool. Where it does not hold, value is 0 and an index may be outside the tensor. -1: it
    /// always holds.
    NodeId guard = -1;
  };

  std::shared_ptr<const Graph> graph;  // the root is the mod's result
  NodeId dscore = -1;                  // f32; of a weight_mod: d loss / d weight
  std::vector<Contribution> captures;  // one a distinct read, in the order of reading
  std::vector<Contribution> params;
};

/// InvalidArgument if the graph is a mask_mod, or if something that is no float wants a gradient.
JointProgram derive(const Graph& graph, const Wanted& wanted);

/// One output of a joint program as a program of its own, with the values of the program it was
/// derived from; dout becomes 1. The output must be f32.
Program output_program(const JointProgram& joint, NodeId output, const Program& original);

/// d result / d score as a mod of the same kind. Used twice, it gives the second derivative.
Program derivative_of(const Program& mod);

/// The operations that keep a capture's gradient at 0 although the result depends on it.
std::vector<Op> stopping_ops(const Graph& graph, int32_t capture);

/// A joint program on the values of the program it was derived from, an element at a time.
class JointState {
 public:
  JointState(const JointProgram& joint, const Program& original)
      : bound_(joint.graph, {original.params().begin(), original.params().end()},
               {original.captures().begin(), original.captures().end()}),
        element_(bound_) {}
  JointState(const JointState&) = delete;
  JointState& operator=(const JointState&) = delete;

  /// The mod's result; InvalidArgument if the element has none (as interpret()).
  double run(const Inputs& inputs) {
    inputs_ = inputs;
    return element_.run(inputs).f;
  }
  /// Of the element that ran last; a node whose value depends on a fault is InvalidArgument.
  Literal value(NodeId id) const { return element_.result(id, inputs_); }
  bool holds(const JointProgram::Contribution& c) const {
    return c.guard < 0 || value(c.guard).i != 0;
  }

 private:
  Program bound_;
  ElementState element_;
  Inputs inputs_;
};

}  // namespace fovea::program
