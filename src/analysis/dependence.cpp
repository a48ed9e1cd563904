// SPDX-License-Identifier: Apache-2.0
#include "analysis/dependence.h"

#include <span>

namespace fovea::analysis {
namespace {

using program::Graph;
using program::Node;
using program::NodeId;
using program::Op;

class Analysis {
 public:
  explicit Analysis(const Graph& graph) : graph_(graph), result_(graph.nodes.size()) {}

  std::vector<Dependence> run() {
    for (NodeId id = 0; id < graph_.size(); ++id) visit(id);
    return std::move(result_);
  }

 private:
  Dependence& of(NodeId id) { return result_[static_cast<std::size_t>(id)]; }
  PlaneForm& form(NodeId id) { return of(id).form; }

  void visit(NodeId id) {
    const Node& node = graph_[id];
    if (node.op == Op::input) {
      visit_input(id, static_cast<program::Input>(node.slot));
      return;
    }
    const auto args = graph_.args(node);
    Dependence& d = of(id);
    for (const NodeId arg : args) {
      const Dependence& a = of(arg);
      d.score |= a.score;
      d.b |= a.b;
      d.h |= a.h;
      d.q |= a.q;
      d.kv |= a.kv;
      d.shape = join(d.shape, a.shape);
    }
    form(id) = form_of(node, args);
    PlaneForm decisive = form(id);
    if (is_integer_comparison(node, args)) decisive = add(form(args[0]), negate(form(args[1])));
    if (decisive.known && !d.score) apply(decisive, d);
    // What reads neither q nor kv is a term of its own, whatever operation it is.
    if (!d.q && !d.kv && !d.score) form(id) = {.known = true};
  }

  void visit_input(NodeId id, program::Input input) {
    Dependence& d = of(id);
    switch (input) {
      case program::Input::score:
      case program::Input::dout: d = {.score = true, .shape = ShapeClass::tile}; break;
      case program::Input::b:
        d.b = true;
        form(id) = {.known = true};
        break;
      case program::Input::h:
        d.h = true;
        form(id) = {.known = true};
        break;
      case program::Input::q:
        d = {.q = true, .shape = ShapeClass::row};
        form(id) = {.known = true, .q = 1};
        break;
      case program::Input::kv:
        d = {.kv = true, .shape = ShapeClass::column};
        form(id) = {.known = true, .kv = 1};
        break;
    }
  }

  // A form knows better than the operands which of q and kv remain.
  static void apply(const PlaneForm& form, Dependence& d) {
    d.q = form.q != 0;
    d.kv = form.kv != 0;
    if (!d.q && !d.kv) {
      d.shape = ShapeClass::scalar;
    } else if (!d.kv) {
      d.shape = ShapeClass::row;
    } else if (!d.q) {
      d.shape = ShapeClass::column;
    } else {
      d.shape = form.q == -form.kv ? ShapeClass::diagonal : ShapeClass::tile;
    }
  }

  bool is_integer(NodeId id) const { return graph_[id].type == ScalarType::i32; }

  bool is_integer_comparison(const Node& node, std::span<const NodeId> args) const {
    const bool compares =
        node.op == Op::eq || node.op == Op::ne || node.op == Op::lt || node.op == Op::le;
    return compares && is_integer(args[0]) && is_integer(args[1]);
  }

  // Only operations that are linear in q and kv; the rest goes by the join of the operands.
  PlaneForm form_of(const Node& node, std::span<const NodeId> args) {
    if (node.type != ScalarType::i32) return {};
    if (node.op == Op::add) return add(form(args[0]), form(args[1]));
    if (node.op == Op::sub) return add(form(args[0]), negate(form(args[1])));
    if (node.op == Op::neg) return negate(form(args[0]));
    if (node.op == Op::to_i32 && is_integer(args[0])) return form(args[0]);
    if (node.op == Op::mul) {
      const PlaneForm& a = form(args[0]);
      const PlaneForm& b = form(args[1]);
      if (!a.known || !b.known) return {};
      if (!b.reads_plane()) return multiply(a, args[1]);
      if (!a.reads_plane()) return multiply(b, args[0]);
    }
    return {};
  }

  PlaneForm multiply(const PlaneForm& a, NodeId factor) const {
    const Node& node = graph_[factor];
    return node.op == Op::constant ? scale(a, node.literal.i) : scale_by_unit(a, factor);
  }

  const Graph& graph_;
  std::vector<Dependence> result_;
};

}  // namespace

const char* name_of(ShapeClass shape) noexcept {
  switch (shape) {
    case ShapeClass::scalar: return "scalar";
    case ShapeClass::row: return "row";
    case ShapeClass::column: return "column";
    case ShapeClass::diagonal: return "diagonal";
    case ShapeClass::tile: return "tile";
  }
  return "?";
}

ShapeClass join(ShapeClass a, ShapeClass b) noexcept {
  if (a == b || b == ShapeClass::scalar) return a;
  return a == ShapeClass::scalar ? b : ShapeClass::tile;
}

std::vector<Dependence> dependence(const Graph& graph) { return Analysis(graph).run(); }

}  // namespace fovea::analysis
