// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <limits>
#include <utility>

#include "cpu/attention/lower.h"

namespace fovea::cpu::lowering {
namespace {

using program::Op;

bool is_conjunction(const Term& term) {
  return term.op == Op::logical_and || (term.op == Op::bit_and && term.type == ScalarType::boolean);
}

// The conjuncts of a condition that needs the whole tile; anything less is hoisted as it is.
std::vector<TermId> conjuncts(const Terms& terms, TermId condition) {
  std::vector<TermId> found;
  std::vector<TermId> pending{condition};
  while (!pending.empty()) {
    const TermId id = pending.back();
    pending.pop_back();
    const Term& term = terms[id];
    if (term.shape == ShapeClass::tile && is_conjunction(term)) {
      pending.push_back(term.args[1]);
      pending.push_back(term.args[0]);
    } else {
      found.push_back(id);
    }
  }
  return found;
}

}  // namespace

TermId Terms::add(Term term) {
  Key key{term.op,  term.type, term.slot, term.literal.i, std::bit_cast<uint64_t>(term.literal.f),
          term.args};
  const auto [place, is_new] = known_.try_emplace(std::move(key), size());
  if (is_new) {
    term.of_dout = place->second == kDout;
    for (const TermId arg : term.args) term.of_dout |= (*this)[arg].of_dout;
    terms_.push_back(std::move(term));
  }
  return place->second;
}

std::vector<TermId> Terms::import(const program::Graph& graph, int32_t first_param,
                                  int32_t first_capture) {
  const std::vector<analysis::Dependence> shapes = analysis::dependence(graph);
  std::vector<TermId> ids;
  ids.reserve(graph.nodes.size());
  for (program::NodeId id = 0; id < graph.size(); ++id) {
    const program::Node& node = graph[id];
    Term term{.op = node.op,
              .type = node.type,
              .shape = shapes[static_cast<std::size_t>(id)].shape,
              .slot = node.slot,
              .literal = node.literal,
              .args = {}};
    if (node.op == Op::param) term.slot += first_param;
    if (node.op == Op::gather) term.slot += first_capture;
    for (const program::NodeId arg : graph.args(node)) {
      term.args.push_back(ids[static_cast<std::size_t>(arg)]);
    }
    const bool divides = node.op == Op::div;
    ids.push_back(divides ? divide(term.args[0], term.args[1]) : add(std::move(term)));
  }
  return ids;
}

TermId Terms::constant(ScalarType type, double value) {
  Literal literal{.type = type};
  if (type == ScalarType::f32) {
    literal.f = value;
  } else {
    literal.i = static_cast<int64_t>(value);
  }
  return add({.op = Op::constant,
              .type = type,
              .shape = ShapeClass::scalar,
              .literal = literal,
              .args = {}});
}

TermId Terms::input(program::Input input) {
  return add({.op = Op::input,
              .type = ScalarType::f32,
              .shape = ShapeClass::tile,
              .slot = static_cast<int32_t>(input),
              .literal = {},
              .args = {}});
}

TermId Terms::operation(Op op, TermId a, TermId b) {
  return add({.op = op,
              .type = ScalarType::f32,
              .shape = analysis::join((*this)[a].shape, (*this)[b].shape),
              .literal = {},
              .args = {a, b}});
}

TermId Terms::divide(TermId a, TermId b) {
  // That of softcap, g * cap * (1 - tanh^2) / cap, would be the one slow instruction of its gradient.
  const TermId rest = (*this)[a].of_dout ? without_factor(a, b) : -1;
  if (rest < 0) return operation(Op::div, a, b);
  return operation(Op::mul, rest, operation(Op::div, b, b));
}

TermId Terms::without_factor(TermId product, TermId factor) {
  const Term term = (*this)[product];
  if (term.op != Op::mul || (*this)[factor].shape == ShapeClass::tile) return -1;
  for (const std::size_t i : {0u, 1u}) {
    const TermId other = term.args[1 - i];
    if (term.args[i] == factor) return other;
    if (!(*this)[term.args[i]].of_dout) continue;
    const TermId rest = without_factor(term.args[i], factor);
    if (rest >= 0) return operation(Op::mul, rest, other);
  }
  return -1;
}

TermId Terms::on_tile(TermId value) {
  return add({.op = Op::to_f32,
              .type = ScalarType::f32,
              .shape = ShapeClass::tile,
              .literal = {},
              .args = {value}});
}

// Through comparisons where that is exact: !(a < b) is b <= a for integers only, because of NaN.
TermId Terms::logical_not(TermId condition) {
  Term term = (*this)[condition];
  const bool of_integers = !term.args.empty() && (*this)[term.args[0]].type == ScalarType::i32;
  if (term.op == Op::logical_not) return term.args[0];
  if (term.op == Op::eq || term.op == Op::ne) {
    term.op = term.op == Op::eq ? Op::ne : Op::eq;
    return add(std::move(term));
  }
  if ((term.op == Op::lt || term.op == Op::le) && of_integers) {
    term.op = term.op == Op::lt ? Op::le : Op::lt;
    std::swap(term.args[0], term.args[1]);
    return add(std::move(term));
  }
  return add({.op = Op::logical_not,
              .type = ScalarType::boolean,
              .shape = term.shape,
              .literal = {},
              .args = {condition}});
}

TermId Terms::logical_and(TermId a, TermId b) {
  return add({.op = Op::logical_and,
              .type = ScalarType::boolean,
              .shape = analysis::join((*this)[a].shape, (*this)[b].shape),
              .literal = {},
              .args = {a, b}});
}

TermId Terms::fill(TermId x, TermId condition, TermId value) {
  const auto where = [&](TermId test, TermId inner) {
    return add({.op = Op::where,
                .type = ScalarType::f32,
                .shape = ShapeClass::tile,
                .literal = {},
                .args = {test, inner, value}});
  };
  constexpr ShapeClass kHoisted[] = {ShapeClass::diagonal, ShapeClass::column, ShapeClass::row,
                                     ShapeClass::scalar};
  TermId by_class[5] = {-1, -1, -1, -1, -1};
  const auto of = [&](ShapeClass shape) -> TermId& { return by_class[static_cast<int>(shape)]; };
  for (TermId conjunct : conjuncts(*this, condition)) {
    if ((*this)[conjunct].op == Op::logical_not) {
      conjunct = logical_not((*this)[conjunct].args[0]);
    }
    const ShapeClass shape = (*this)[conjunct].shape;
    if (shape == ShapeClass::tile) {
      x = where(conjunct, x);
    } else {
      of(shape) = of(shape) < 0 ? conjunct : logical_and(of(shape), conjunct);
    }
  }
  // A diagonal and a column condition are both read lane by lane: one pass for the two.
  if (of(ShapeClass::diagonal) >= 0 && of(ShapeClass::column) >= 0) {
    x = where(logical_and(of(ShapeClass::diagonal), of(ShapeClass::column)), x);
    of(ShapeClass::diagonal) = of(ShapeClass::column) = -1;
  }
  for (const ShapeClass shape : kHoisted) {
    if (of(shape) >= 0) x = where(of(shape), x);
  }
  return x;
}

TermId Terms::split_fills(TermId result) {
  std::vector<std::pair<TermId, TermId>> fills;  // condition, value; outermost first
  TermId x = result;
  while ((*this)[x].op == Op::where) {
    const std::vector<TermId> args = (*this)[x].args;
    const auto shape = [&](int i) { return (*this)[args[static_cast<std::size_t>(i)]].shape; };
    if (shape(2) == ShapeClass::scalar && shape(1) == ShapeClass::tile) {
      fills.emplace_back(args[0], args[2]);
      x = args[1];
    } else if (shape(1) == ShapeClass::scalar && shape(2) == ShapeClass::tile) {
      fills.emplace_back(logical_not(args[0]), args[1]);
      x = args[2];
    } else {
      break;
    }
  }
  for (auto it = fills.rbegin(); it != fills.rend(); ++it) x = fill(x, it->first, it->second);
  return x;
}

namespace {

TermId add_score_mod(Terms& terms, const program::Graph& graph,
                     const program::JointProgram* joint) {
  const std::vector<TermId> ids = terms.import(graph, 0, 0);
  TermId result = terms.split_fills(ids[static_cast<std::size_t>(graph.root)]);
  // A result that needs less than the tile is computed early and copied to every element.
  if (terms[result].shape != ShapeClass::tile) result = terms.on_tile(result);
  if (joint != nullptr) add_backward(terms, *joint, ids);
  return result;
}

}  // namespace

Terms join(const Program& score_mod, const program::JointProgram* joint, const Program& mask_mod) {
  Terms terms;
  terms.input(program::Input::score);
  terms.on_tile(Terms::kScore);
  terms.input(program::Input::dout);
  terms.constant(ScalarType::f32, 1);
  terms.score_root = Terms::kScore;
  if (score_mod) {
    const program::Graph& graph = joint == nullptr ? score_mod.graph() : *joint->graph;
    terms.score_root = add_score_mod(terms, graph, joint);
    choose_saved(terms);
    // A kept value has a place of its own, and the result must be in the caller's.
    if (terms.is_saved(terms.score_root)) terms.score_root = terms.on_tile(terms.score_root);
  }
  terms.root = terms.score_root;
  if (mask_mod) {
    const auto params = score_mod ? static_cast<int32_t>(score_mod.graph().params.size()) : 0;
    const auto captures = score_mod ? static_cast<int32_t>(score_mod.graph().captures.size()) : 0;
    const program::Graph& graph = mask_mod.graph();
    const TermId mask = terms.import(graph, params, captures)[static_cast<std::size_t>(graph.root)];
    const Term& term = terms[mask];
    const bool always = term.op == Op::constant && term.literal.i != 0;
    const TermId nothing =
        terms.constant(ScalarType::f32, -std::numeric_limits<double>::infinity());
    if (!always) terms.root = terms.fill(terms.score_root, mask, nothing);
  }
  return terms;
}

}  // namespace fovea::cpu::lowering
