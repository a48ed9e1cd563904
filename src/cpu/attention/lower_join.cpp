// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <limits>
#include <utility>

#include "cpu/attention/lower.h"

namespace fovea::cpu::lowering {
namespace {

using program::Op;

ShapeClass join_shapes(ShapeClass a, ShapeClass b) {
  if (a == b || b == ShapeClass::scalar) return a;
  return a == ShapeClass::scalar ? b : ShapeClass::tile;
}

bool is_conjunction(const Term& term) {
  return term.op == Op::logical_and || (term.op == Op::bit_and && term.type == ScalarType::boolean);
}

// The conjuncts of a condition that needs the whole tile; anything less is hoisted as it is.
std::vector<TermId> conjuncts(const Joint& joint, TermId condition) {
  std::vector<TermId> found;
  std::vector<TermId> pending{condition};
  while (!pending.empty()) {
    const TermId id = pending.back();
    pending.pop_back();
    const Term& term = joint[id];
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

TermId Joint::add(Term term) {
  Key key{term.op,  term.type, term.slot, term.literal.i, std::bit_cast<uint64_t>(term.literal.f),
          term.args};
  const auto [place, is_new] = known_.try_emplace(std::move(key), size());
  if (is_new) terms_.push_back(std::move(term));
  return place->second;
}

TermId Joint::import(const program::Graph& graph, int32_t first_param, int32_t first_capture) {
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
    ids.push_back(add(std::move(term)));
  }
  return ids[static_cast<std::size_t>(graph.root)];
}

TermId Joint::constant(ScalarType type, double value) {
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

TermId Joint::input(program::Input input) {
  return add({.op = Op::input,
              .type = ScalarType::f32,
              .shape = ShapeClass::tile,
              .slot = static_cast<int32_t>(input),
              .literal = {},
              .args = {}});
}

// Through comparisons where that is exact: !(a < b) is b <= a for integers only, because of NaN.
TermId Joint::logical_not(TermId condition) {
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

TermId Joint::logical_and(TermId a, TermId b) {
  return add({.op = Op::logical_and,
              .type = ScalarType::boolean,
              .shape = join_shapes((*this)[a].shape, (*this)[b].shape),
              .literal = {},
              .args = {a, b}});
}

TermId Joint::fill(TermId x, TermId condition, TermId value) {
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

TermId Joint::split_fills(TermId result) {
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

Joint join(const Program& score_mod, const Program& mask_mod) {
  Joint joint;
  const TermId score = joint.input(program::Input::score);
  joint.score_root = score;
  if (score_mod) {
    joint.score_root = joint.split_fills(joint.import(score_mod.graph(), 0, 0));
    // A result that needs less than the tile is computed early and copied to every element.
    if (joint[joint.score_root].shape != ShapeClass::tile) {
      joint.score_root = joint.add({.op = Op::to_f32,
                                    .type = ScalarType::f32,
                                    .shape = ShapeClass::tile,
                                    .literal = {},
                                    .args = {joint.score_root}});
    }
  }
  joint.root = joint.score_root;
  if (mask_mod) {
    const auto params = score_mod ? static_cast<int32_t>(score_mod.graph().params.size()) : 0;
    const auto captures = score_mod ? static_cast<int32_t>(score_mod.graph().captures.size()) : 0;
    const TermId mask = joint.import(mask_mod.graph(), params, captures);
    const Term& term = joint[mask];
    const bool always = term.op == Op::constant && term.literal.i != 0;
    const TermId nothing =
        joint.constant(ScalarType::f32, -std::numeric_limits<double>::infinity());
    if (!always) joint.root = joint.fill(joint.score_root, mask, nothing);
  }
  return joint;
}

}  // namespace fovea::cpu::lowering
