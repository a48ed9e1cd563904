// SPDX-License-Identifier: Apache-2.0
#include "analysis/interval_program.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fovea/error.h>

namespace fovea::analysis {

using program::Graph;
using program::Node;
using program::NodeId;
using program::Op;

namespace {

constexpr Axes kPlane = kAxisQ | kAxisKv;

std::size_t group_of(Axes axes) {
  if (axes == 0) return 0;
  if ((axes & kPlane) == 0) return 1;
  if ((axes & kPlane) == kAxisQ) return 2;
  return (axes & kPlane) == kAxisKv ? 3 : 4;
}

// Along which the box has more than one element.
Axes axes_of(const Box& box) {
  return static_cast<Axes>((box.b0 < box.b1 ? kAxisB : 0) | (box.h0 < box.h1 ? kAxisH : 0) |
                           (box.q0 < box.q1 ? kAxisQ : 0) | (box.kv0 < box.kv1 ? kAxisKv : 0));
}

}  // namespace

IntervalProgram::IntervalProgram(const Program& program, std::shared_ptr<RangeTables> tables,
                                 std::vector<Contents> contents)
    : program_(program), tables_(std::move(tables)), contents_(std::move(contents)) {
  compile();
}

void IntervalProgram::compile() {
  const Graph& graph = program_.graph();
  const std::size_t n = graph.nodes.size();
  values_.resize(n);
  read_.assign(n, 0);
  forms_.assign(n, {});
  steps_.reserve(n);
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    form(id) = LinearForm::atom(id);
    if (node.op == Op::constant) {
      set_constant(id, node.literal);
    } else if (node.op == Op::param) {
      set_constant(id, program_.params()[static_cast<std::size_t>(node.slot)]);
    } else {
      steps_.push_back(step_of(id));
    }
  }
  order();
  if (std::any_of(steps_.begin(), steps_.end(),
                  [](const Step& s) { return is_bit_rule(s.rule); })) {
    bits_.resize(n);
  }
  forms_.clear();
  run_steps(0);
}

void IntervalProgram::set_constant(NodeId id, const Literal& literal) {
  if (program_.graph()[id].type == ScalarType::f32) {
    set(id, interval::point(literal.f));
    return;
  }
  set(id, interval::bounded(literal.i, literal.i));
  form(id) = LinearForm::constant(literal.i);
}

IntervalProgram::Step IntervalProgram::step_of(NodeId id) {
  const Graph& graph = program_.graph();
  const Node& node = graph[id];
  const auto args = graph.args(node);
  Step step{.op = node.op, .out = id, .slot = node.slot};
  step.float_result = node.type == ScalarType::f32;
  if (!args.empty()) step.a = args[0];
  if (args.size() > 1) step.b = args[1];
  if (args.size() > 2) step.c = args[2];
  if (node.op == Op::input) {
    constexpr Rule kInputs[] = {Rule::input_score, Rule::input_b,    Rule::input_h, Rule::input_q,
                                Rule::input_kv,    Rule::input_score /* dout: any */};
    step.rule = kInputs[node.slot];
  } else if (node.op == Op::gather) {
    const TensorView& tensor = program_.captures()[static_cast<std::size_t>(node.slot)];
    step.rule = Rule::gather;
    step.first = node.first;
    step.count = node.count;
    step.number = tensor.data != nullptr && tensor.device.type == DeviceType::cpu ? 1 : 0;
  } else if (node.op == Op::where) {
    step.rule = step.float_result ? Rule::select_float : Rule::select_int;
  } else if (graph[step.a].type == ScalarType::f32) {
    step.rule = Rule::floating;
  } else if (!make_linear(id, step)) {
    step.rule = integer_rule(step);
  }
  step.axes = read_[static_cast<std::size_t>(id)] = axes_read(step);
  return step;
}

Axes IntervalProgram::axes_read(const Step& step) const {
  if (step.rule == Rule::input_score) return kPlane;
  if (step.rule == Rule::input_b) return kAxisB;
  if (step.rule == Rule::input_h) return kAxisH;
  if (step.rule == Rule::input_q) return kAxisQ;
  if (step.rule == Rule::input_kv) return kAxisKv;
  Axes axes = 0;
  for_each_operand(step, [&](NodeId id) { axes |= read_[static_cast<std::size_t>(id)]; });
  return axes;
}

// What the step really reads: a linear form its terms, which may be fewer than its node's operands.
template <class F>
void IntervalProgram::for_each_operand(const Step& step, F&& body) const {
  if (step.rule >= Rule::linear && step.rule <= Rule::linear_le) {
    for (int32_t i = 0; i < step.count; ++i) {
      body(terms_[static_cast<std::size_t>(step.first + i)].node);
    }
  } else if (step.rule == Rule::gather) {
    const NodeId* indices = program_.graph().operands.data() + step.first;
    for (int32_t i = 0; i < step.count; ++i) body(indices[i]);
  } else {
    for (const NodeId id : {step.a, step.b, step.c}) {
      if (id >= 0) body(id);
    }
  }
}

// The integer and boolean operations.
IntervalProgram::Rule IntervalProgram::integer_rule(Step& step) {
  switch (step.op) {
    case Op::add: return Rule::add;
    case Op::sub: return Rule::sub;
    case Op::mul: return rule_by_constant(step, Rule::mul);
    case Op::floor_div: return rule_by_constant(step, Rule::divide);
    case Op::mod: return rule_by_constant(step, Rule::remainder);
    case Op::min: return Rule::min;
    case Op::max: return Rule::max;
    case Op::neg: return Rule::neg;
    case Op::abs: return Rule::abs;
    case Op::eq: return match_rule(step, Rule::eq);
    case Op::ne: return match_rule(step, Rule::ne);
    case Op::lt: return Rule::lt;
    case Op::le: return Rule::le;
    case Op::logical_and: return Rule::min;
    case Op::logical_or: return Rule::max;
    case Op::logical_not: return Rule::negate;
    case Op::bit_and: return Rule::bit_and;
    case Op::bit_or: return Rule::bit_or;
    case Op::bit_xor: return Rule::bit_xor;
    case Op::bit_not: return Rule::bit_not;
    case Op::shift_left: return Rule::shift_left;
    case Op::shift_right: return Rule::shift_right;
    case Op::philox: return Rule::any_32_bits;
    case Op::to_f32: return Rule::to_f32;
    case Op::to_i32: return Rule::copy;
    case Op::to_bool: return Rule::to_bool;
    // Leaves and where have their own rules; the others have floating operands.
    case Op::input:
    case Op::constant:
    case Op::param:
    case Op::gather:
    case Op::where:
    case Op::div:
    case Op::pow:
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
    case Op::floor:
    case Op::ceil:
    case Op::trunc:
    case Op::round: break;
  }
  throw InternalError(std::string("[bounds] operation ") + program::name_of(step.op) +
                      ": expected floating operands, got integers");
}

IntervalProgram::Rule IntervalProgram::rule_by_constant(Step& step, Rule general) const {
  const Op a = program_.graph()[step.a].op;
  if (general == Rule::mul && (a == Op::constant || a == Op::param)) std::swap(step.a, step.b);
  const Op b = program_.graph()[step.b].op;
  const IntRange constant = ints(step.b);
  if ((b != Op::constant && b != Op::param) || !constant.is_point()) return general;
  step.number = constant.lo;
  if (general == Rule::mul) return Rule::scale;
  if (constant.lo <= 0) return general;
  const auto divisor = static_cast<uint64_t>(constant.lo);
  if ((divisor & (divisor - 1)) == 0) {
    if (general == Rule::remainder) return Rule::low_bits;
    step.number = std::countr_zero(divisor);
    return Rule::shift_down;
  }
  return general == Rule::divide ? Rule::divide_by : Rule::remainder_by;
}

// Equality of two captured tables also looks at the sets of their values: ids in no order have wide
// ranges, but few values in a small box. Equality of a table and something else looks for it in the table.
IntervalProgram::Rule IntervalProgram::match_rule(Step& step, Rule plain) {
  const Graph& graph = program_.graph();
  const auto gathers = [&](NodeId id) { return graph[id].op == Op::gather; };
  if (tables_ == nullptr || (!gathers(step.a) && !gathers(step.b))) return plain;
  if (!gathers(step.a) || !gathers(step.b)) {
    if (!gathers(step.a)) std::swap(step.a, step.b);
    const auto slot = static_cast<std::size_t>(graph[step.a].slot);
    if (program_.captures()[slot].numel() > UINT32_MAX) return plain;
    sets_.resize(graph.nodes.size());
    step.slot = graph[step.a].slot;
    return plain == Rule::eq ? Rule::find_eq : Rule::find_ne;
  }
  sets_.resize(graph.nodes.size());
  for (const NodeId id : {step.a, step.b}) sets_[static_cast<std::size_t>(id)].wanted = true;
  return plain == Rule::eq ? Rule::match_eq : Rule::match_ne;
}

// Sums and comparisons whose operands share a term go by the combined form; the others by the plain
// rules, which are as tight and faster.
bool IntervalProgram::make_linear(NodeId id, Step& step) {
  const Graph& graph = program_.graph();
  if (graph[step.a].type != ScalarType::i32) return false;
  if (step.op == Op::neg || step.op == Op::to_i32) {
    LinearForm result = LinearForm::constant(0);
    if (result.add(form(step.a), step.op == Op::neg ? -1 : 1)) form(id) = result;
    return false;
  }
  if (step.b < 0 || graph[step.b].type != ScalarType::i32) return false;
  if (step.op == Op::mul) {
    const bool by_a = form(step.a).is_constant();
    if (!by_a && !form(step.b).is_constant()) return false;
    LinearForm result = LinearForm::constant(0);
    const LinearForm& factor = form(by_a ? step.a : step.b);
    if (result.add(form(by_a ? step.b : step.a), factor.offset())) form(id) = result;
    return false;
  }
  if (step.op == Op::add || step.op == Op::sub) {
    step.rule = Rule::linear;
  } else if (step.op == Op::eq) {
    step.rule = Rule::linear_eq;
  } else if (step.op == Op::ne) {
    step.rule = Rule::linear_ne;
  } else if (step.op == Op::lt) {
    step.rule = Rule::linear_lt;
  } else if (step.op == Op::le) {
    step.rule = Rule::linear_le;
  } else {
    return false;
  }
  LinearForm result = form(step.a);
  if (!result.add(form(step.b), step.op == Op::add ? 1 : -1)) return false;
  const bool shares = form(step.a).shares_term(form(step.b));
  if (step.rule == Rule::linear) form(id) = result;
  if (!shares) return false;
  step.number = result.offset();
  step.first = static_cast<int32_t>(terms_.size());
  step.count = static_cast<int32_t>(result.terms().size());
  terms_.insert(terms_.end(), result.terms().begin(), result.terms().end());
  return true;
}

void IntervalProgram::order() {
  const auto group = [](const Step& step) { return group_of(step.axes); };
  std::stable_sort(steps_.begin(), steps_.end(),
                   [&](const Step& a, const Step& b) { return group(a) < group(b); });
  step_of_node_.assign(values_.size(), -1);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    step_of_node_[static_cast<std::size_t>(steps_[i].out)] = static_cast<int32_t>(i);
    for (std::size_t g = group(steps_[i]); g < kGroups; ++g) ++group_end_[g];
  }
}

void IntervalProgram::run(const Box& box) {
  const bool heads =
      fresh_ || box.b0 != box_.b0 || box.b1 != box_.b1 || box.h0 != box_.h0 || box.h1 != box_.h1;
  const bool rows = heads || box.q0 != box_.q0 || box.q1 != box_.q1;
  const bool columns = heads || box.kv0 != box_.kv0 || box.kv1 != box_.kv1;
  box_ = box;
  fresh_ = true;  // in case a step throws
  if (heads) run_steps(1);
  if (rows) run_steps(2);
  if (columns) run_steps(3);
  run_steps(4);
  fresh_ = false;
}

// From the node down through everything that is not a point, until all axes of the box are found.
Axes IntervalProgram::open_axes(NodeId id) {
  const Axes possible = read_[static_cast<std::size_t>(id)] & axes_of(box_);
  Axes open = 0;
  if (seen_.empty()) seen_.assign(values_.size(), 0);
  ++epoch_;
  pending_.assign(1, id);
  while (!pending_.empty() && open != possible) {
    const NodeId node = pending_.back();
    pending_.pop_back();
    uint64_t& seen = seen_[static_cast<std::size_t>(node)];
    const int32_t index = step_of_node_[static_cast<std::size_t>(node)];
    if (seen == epoch_ || index < 0) continue;
    seen = epoch_;
    const Step& step = steps_[static_cast<std::size_t>(index)];
    if (step.float_result ? floats(node).is_point() : ints(node).is_point()) continue;
    if (step.rule <= Rule::input_kv) {
      open |= step.axes & possible;
    } else if (is_decided_select(step)) {
      pending_.push_back(ints(step.a).lo != 0 ? step.b : step.c);
    } else {
      for_each_operand(step, [&](NodeId operand) { pending_.push_back(operand); });
    }
  }
  return open;
}

Axes IntervalProgram::narrow_axes(NodeId id, int depth) {
  const int32_t index = step_of_node_[static_cast<std::size_t>(id)];
  if (index < 0) return 0;
  const Step& step = steps_[static_cast<std::size_t>(index)];
  const bool joins = step.op == Op::logical_and || step.op == Op::logical_or;
  if (depth == 0 || (!joins && step.op != Op::logical_not)) return open_axes(id);
  if (ints(id).is_point()) return 0;
  const Axes a = narrow_axes(step.a, depth - 1);
  if (!joins || std::has_single_bit(a)) return a;
  const Axes b = narrow_axes(step.b, depth - 1);
  if (a == 0 || b == 0) return a | b;
  return std::popcount(a) <= std::popcount(b) ? a : b;
}

bool IntervalProgram::is_decided_select(const Step& step) const {
  const bool selects = step.rule == Rule::select_int || step.rule == Rule::select_float;
  return selects && ints(step.a).is_point();
}

}  // namespace fovea::analysis
