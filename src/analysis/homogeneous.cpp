// SPDX-License-Identifier: Apache-2.0
#include "analysis/homogeneous.h"

#include <cstdint>
#include <span>
#include <vector>

#include "program/graph.h"

namespace fovea::analysis {
namespace {

using program::Graph;
using program::Node;
using program::NodeId;
using program::Op;

/// What becomes of a value when w is multiplied by c > 0.
enum class Degree : uint8_t {
  zero,    // nothing: it is 0
  fixed,   // nothing
  linear,  // multiplied by c
  other,
};

class Degrees {
 public:
  explicit Degrees(const Program& program) : program_(program), graph_(program.graph()) {
    degrees_.reserve(graph_.nodes.size());
    for (NodeId id = 0; id < graph_.size(); ++id) degrees_.push_back(visit(graph_[id]));
  }
  Degree of_root() const { return of(graph_.root); }

 private:
  Degree of(NodeId id) const { return degrees_[static_cast<std::size_t>(id)]; }
  bool is_fixed(NodeId id) const { return of(id) <= Degree::fixed; }
  bool scales(NodeId id) const { return of(id) == Degree::linear || of(id) == Degree::zero; }

  static Degree of_literal(const Literal& value) {
    return value.type == ScalarType::f32 && value.f == 0 ? Degree::zero : Degree::fixed;
  }

  Degree visit(const Node& node) const {
    if (node.op == Op::input) {
      const bool is_weight = static_cast<program::Input>(node.slot) == program::Input::score;
      return is_weight ? Degree::linear : Degree::fixed;
    }
    if (node.op == Op::constant) return of_literal(node.literal);
    if (node.op == Op::param) {
      return of_literal(program_.params()[static_cast<std::size_t>(node.slot)]);
    }
    const auto args = graph_.args(node);
    bool all_fixed = true;
    for (const NodeId arg : args) all_fixed &= is_fixed(arg);
    return all_fixed ? Degree::fixed : operation(node.op, args);
  }

  // Of operands that are not all fixed.
  Degree operation(Op op, std::span<const NodeId> args) const {
    const auto linear_if = [](bool holds) { return holds ? Degree::linear : Degree::other; };
    const auto both_scale = [&](NodeId a, NodeId b) { return scales(a) && scales(b); };
    if (op == Op::neg || op == Op::abs) return of(args[0]);
    if (op == Op::add || op == Op::sub || op == Op::min || op == Op::max) {
      return linear_if(both_scale(args[0], args[1]));
    }
    if (op == Op::mul) {
      return linear_if((scales(args[0]) && is_fixed(args[1])) ||
                       (is_fixed(args[0]) && scales(args[1])));
    }
    if (op == Op::div) return linear_if(scales(args[0]) && is_fixed(args[1]));
    if (op == Op::where) return linear_if(is_fixed(args[0]) && both_scale(args[1], args[2]));
    const bool compares = op == Op::eq || op == Op::ne || op == Op::lt || op == Op::le;
    return compares && both_scale(args[0], args[1]) ? Degree::fixed : Degree::other;
  }

  const Program& program_;
  const Graph& graph_;
  std::vector<Degree> degrees_;
};

}  // namespace

bool is_homogeneous(const Program& weight_mod) {
  const Degree degree = Degrees(weight_mod).of_root();
  return degree == Degree::linear || degree == Degree::zero;
}

}  // namespace fovea::analysis
