// SPDX-License-Identifier: Apache-2.0
#include "program/print.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "core/hash.h"
#include "program/precedence.h"
#include "program/types.h"

namespace fovea::program {

namespace {

// Deeper expressions get a name for their inner part, so that any program stays within the nesting
// that the parser accepts.
constexpr int kMaxInlineHeight = 48;

class Printer {
 public:
  Printer(const Graph& graph, std::span<const Literal> values) : graph_(graph), values_(values) {}

  std::string run() {
    choose_names();
    header();
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (name(id) < 0) continue;
      out_ += "  v";
      number(name(id));
      out_ += " = ";
      operation(id);
      out_ += '\n';
    }
    out_ += "  return ";
    node(graph_.root, Precedence::any);
    out_ += "\n}";
    return std::move(out_);
  }

 private:
  int32_t& name(NodeId id) { return names_[static_cast<std::size_t>(id)]; }

  // A node that is used twice, or too deep, is named; leaves never are.
  void choose_names() {
    const auto size = graph_.nodes.size();
    std::vector<int32_t> uses(size, 0);
    std::vector<int> height(size, 0);
    for (const NodeId arg : graph_.operands) ++uses[static_cast<std::size_t>(arg)];
    names_.assign(size, -1);
    int32_t next_name = 0;
    for (NodeId id = 0; id < graph_.size(); ++id) {
      if (graph_[id].count == 0) continue;
      int& here = height[static_cast<std::size_t>(id)];
      for (const NodeId arg : graph_.args(id)) {
        here = std::max(here, height[static_cast<std::size_t>(arg)] + 1);
      }
      if (id == graph_.root) continue;
      if (uses[static_cast<std::size_t>(id)] < 2 && here < kMaxInlineHeight) continue;
      name(id) = next_name++;
      here = 0;
    }
  }

  void header() {
    out_ += name_of(graph_.kind);
    out_ += '(';
    if (graph_.kind != ModKind::mask) {
      out_ += name_of(Input::score, graph_.kind);
      out_ += ", ";
    }
    out_ += "b, h, q, kv";
    const char* separator = "; ";
    for (std::size_t i = 0; i < graph_.params.size(); ++i) {
      out_ += separator;
      out_ += 'p';
      number(static_cast<int64_t>(i));
      out_ += ": ";
      out_ += name_of(graph_.params[i]);
      if (!values_.empty()) {
        out_ += " = ";
        out_ += print_literal(values_[i]);
      }
      separator = ", ";
    }
    for (std::size_t i = 0; i < graph_.captures.size(); ++i) {
      out_ += separator;
      out_ += 't';
      number(static_cast<int64_t>(i));
      out_ += ": ";
      out_ += name_of(graph_.captures[i].dtype);
      out_ += '[';
      number(graph_.captures[i].rank);
      out_ += ']';
      separator = ", ";
    }
    out_ += ") {\n";
  }

  void number(int64_t value) {
    std::array<char, 24> buffer;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    out_.append(buffer.data(), end);
  }

  // A node where the context binds as tightly as `context`.
  void node(NodeId id, Precedence context) {
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

  void operation(NodeId id) {
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

  void infix(const Node& node) {
    const Precedence mine = precedence_of(node.op);
    // `a < b == c` is legal and unreadable.
    const Precedence right = mine == Precedence::equality ? Precedence::shift : next(mine);
    this->node(graph_.args(node)[0], chains(mine) ? mine : right);
    out_ += ' ';
    out_ += spelling_of(node.op);
    out_ += ' ';
    operand(node, 1, right);
  }

  void call(const Node& node) {
    out_ += display_name(node.op);
    out_ += '(';
    for (std::size_t i = 0; i < static_cast<std::size_t>(node.count); ++i) {
      if (i > 0) out_ += ", ";
      operand(node, i, Precedence::any);
    }
    out_ += ')';
  }

  void gather(const Node& node) {
    out_ += 't';
    number(node.slot);
    for (const NodeId arg : graph_.args(node)) {
      out_ += '[';
      this->node(arg, Precedence::any);
      out_ += ']';
    }
  }

  // Where a literal would become a constant anyhow, it stands bare.
  void operand(const Node& node, std::size_t i, Precedence context) {
    const NodeId arg = graph_.args(node)[i];
    if (graph_[arg].op == Op::constant && is_shaping(node.op, i, graph_[arg].type)) {
      out_ += print_literal(graph_[arg].literal);
      return;
    }
    this->node(arg, context);
  }

  void constant(const Literal& value) {
    if (is_structural(value)) {
      out_ += print_literal(value);
      return;
    }
    out_ += "const(";
    out_ += print_literal(value);
    out_ += ')';
  }

  const Graph& graph_;
  std::span<const Literal> values_;
  std::vector<int32_t> names_;  // v<name>, or -1: inlined
  std::string out_;
};

}  // namespace

std::string print(const Graph& graph, std::span<const Literal> values) {
  return Printer(graph, values).run();
}

std::string print_literal(const Literal& value) {
  if (value.type == ScalarType::boolean) return value.i != 0 ? "true" : "false";
  if (value.type == ScalarType::i32) return std::to_string(value.i);
  if (std::isnan(value.f)) return "nan";
  if (std::isinf(value.f)) return value.f < 0 ? "-inf" : "inf";
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value.f).ptr;
  std::string text(buffer.data(), end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Hash128 hash_text(std::string_view text) { return core::hash_bytes(text.data(), text.size()); }

}  // namespace fovea::program
