// SPDX-License-Identifier: Apache-2.0
#include "program/printer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "program/print.h"
#include "program/types.h"

namespace fovea::program {

namespace {

// Deeper expressions get a name for their inner part, so that any program stays within the nesting
// that the parser accepts.
constexpr int kMaxInlineHeight = 48;

}  // namespace

Printer::Printer(const Graph& graph, std::span<const Literal> values,
                 std::span<const NodeId> outputs)
    : graph_(graph), values_(values) {
  choose_names(outputs);
}

void Printer::head() {
  *this << name_of(graph_.kind) << "(";
  if (graph_.kind != ModKind::mask) *this << name_of(Input::score, graph_.kind) << ", ";
  *this << "b, h, q, kv";
  const char* separator = "; ";
  for (std::size_t i = 0; i < graph_.params.size(); ++i) {
    *this << separator << "p";
    number(static_cast<int64_t>(i));
    *this << ": " << name_of(graph_.params[i]);
    if (!values_.empty()) *this << " = " << print_literal(values_[i]);
    separator = ", ";
  }
  for (std::size_t i = 0; i < graph_.captures.size(); ++i) {
    *this << separator << "t";
    number(static_cast<int64_t>(i));
    *this << ": " << name_of(graph_.captures[i].dtype) << "[";
    number(graph_.captures[i].rank);
    *this << "]";
    separator = ", ";
  }
  *this << ") {\n";
}

void Printer::definitions() {
  for (NodeId id = 0; id < graph_.size(); ++id) {
    if (name(id) < 0) continue;
    *this << "  v";
    number(name(id));
    *this << " = ";
    operation(id);
    *this << "\n";
  }
}

// Leaves are never named.
void Printer::choose_names(std::span<const NodeId> outputs) {
  const auto size = graph_.nodes.size();
  std::vector<int32_t> uses(size, 0);
  std::vector<int> height(size, 0);
  for (const NodeId output : outputs) ++uses[static_cast<std::size_t>(output)];
  for (NodeId id = graph_.size() - 1; id >= 0; --id) {
    if (uses[static_cast<std::size_t>(id)] == 0) continue;
    for (const NodeId arg : graph_.args(id)) ++uses[static_cast<std::size_t>(arg)];
  }
  names_.assign(size, -1);
  int32_t next_name = 0;
  for (NodeId id = 0; id < graph_.size(); ++id) {
    if (graph_[id].count == 0 || uses[static_cast<std::size_t>(id)] == 0) continue;
    int& here = height[static_cast<std::size_t>(id)];
    for (const NodeId arg : graph_.args(id)) {
      here = std::max(here, height[static_cast<std::size_t>(arg)] + 1);
    }
    if (outputs.size() == 1 && id == outputs[0]) continue;
    if (uses[static_cast<std::size_t>(id)] < 2 && here < kMaxInlineHeight) continue;
    name(id) = next_name++;
    here = 0;
  }
}

void Printer::number(int64_t value) {
  std::array<char, 24> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  out_.append(buffer.data(), end);
}

void Printer::node(NodeId id, Precedence context) {
  if (name(id) >= 0) {
    out_ += 'v';
    number(name(id));
    return;
  }
  const bool grouped = precedence_of(graph_[id].op) < context;
  if (grouped) out_ += '(';
  operation(id);
  if (grouped) out_ += ')';
}

void Printer::operation(NodeId id) {
  const Node& node = graph_[id];
  if (node.op == Op::input) {
    out_ += name_of(static_cast<Input>(node.slot), graph_.kind);
  } else if (node.op == Op::constant) {
    constant(node.literal);
  } else if (node.op == Op::param) {
    out_ += 'p';
    number(node.slot);
  } else if (node.op == Op::gather) {
    gather(node);
  } else if (precedence_of(node.op) == Precedence::atom) {
    call(node);
  } else if (node.count == 1) {
    out_ += spelling_of(node.op);
    this->node(graph_.args(node)[0], Precedence::prefix);
  } else {
    infix(node);
  }
}

void Printer::infix(const Node& node) {
  const Precedence mine = precedence_of(node.op);
  // `a < b == c` is legal and unreadable.
  const Precedence right = mine == Precedence::equality ? Precedence::shift : next(mine);
  this->node(graph_.args(node)[0], chains(mine) ? mine : right);
  out_ += ' ';
  out_ += spelling_of(node.op);
  out_ += ' ';
  operand(node, 1, right);
}

void Printer::call(const Node& node) {
  out_ += display_name(node.op);
  out_ += '(';
  for (std::size_t i = 0; i < static_cast<std::size_t>(node.count); ++i) {
    if (i > 0) out_ += ", ";
    operand(node, i, Precedence::any);
  }
  out_ += ')';
}

void Printer::gather(const Node& node) {
  out_ += 't';
  number(node.slot);
  for (const NodeId arg : graph_.args(node)) {
    out_ += '[';
    this->node(arg, Precedence::any);
    out_ += ']';
  }
}

// Where a literal would become a constant anyhow, it stands bare.
void Printer::operand(const Node& node, std::size_t i, Precedence context) {
  const NodeId arg = graph_.args(node)[i];
  if (graph_[arg].op == Op::constant && is_shaping(node.op, i, graph_[arg].type)) {
    out_ += print_literal(graph_[arg].literal);
    return;
  }
  this->node(arg, context);
}

void Printer::constant(const Literal& value) {
  if (is_structural(value)) {
    out_ += print_literal(value);
    return;
  }
  out_ += "const(";
  out_ += print_literal(value);
  out_ += ')';
}

}  // namespace fovea::program
