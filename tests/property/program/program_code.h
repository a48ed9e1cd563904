// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include <fovea/program.h>
#include "program/graph.h"
#include "program/precedence.h"
#include "program/types.h"

/// A program as the C++ code that traces to it: what a failing test prints, to be pasted into a test.
/// (Numbers that are constants although they shape nothing, as in derivatives, become parameters.)
namespace fovea::test {

class ProgramCode {
 public:
  /// `names` gives the C++ name of a captured tensor.
  template <class Names>
  ProgramCode(const Program& program, const Names& names) : graph_(program.graph()) {
    const bool is_mask = graph_.kind == ModKind::mask;
    code_ = std::string("auto mod = ") + name_of(graph_.kind) + "([&](";
    if (!is_mask) code_ += std::string("auto ") + input(program::Input::score) + ", ";
    code_ += "auto b, auto h, auto q, auto kv) -> Value {\n";
    for (const TensorView& tensor : program.captures()) captures_.push_back(names(tensor));
    for (std::size_t slot = 0; slot < program.params().size(); ++slot) {
      code_ += "  const Value p" + std::to_string(slot) + " = " + literal(program.params()[slot]) +
               ";\n";
    }
    for (program::NodeId id = 0; id < graph_.size(); ++id) {
      if (graph_[id].count == 0 && graph_[id].op != program::Op::gather) continue;
      code_ += "  const Value v" + std::to_string(id) + " = " + operation(graph_[id]) + ";\n";
    }
    code_ += "  return " + operand(graph_.root) + ";\n});\n";
  }
  std::string take() { return std::move(code_); }

 private:
  const char* input(program::Input in) const { return name_of(in, graph_.kind); }

  static std::string literal(const Literal& value) {
    if (value.type == ScalarType::boolean) return value.i != 0 ? "Value(true)" : "Value(false)";
    if (value.type == ScalarType::i32) {
      if (value.i == std::numeric_limits<int64_t>::min()) return "Value(INT64_MIN)";
      return "Value(int64_t{" + std::to_string(value.i) + "})";
    }
    if (std::isnan(value.f)) return "Value(NAN)";
    if (std::isinf(value.f)) return value.f < 0 ? "Value(-HUGE_VAL)" : "Value(HUGE_VAL)";
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value.f).ptr;
    return "Value(double{" + std::string(text, end) + "})";
  }

  std::string operand(program::NodeId id) const {
    const program::Node& node = graph_[id];
    if (node.op == program::Op::input) return input(static_cast<program::Input>(node.slot));
    if (node.op == program::Op::constant) return literal(node.literal);
    if (node.op == program::Op::param) return "p" + std::to_string(node.slot);
    return "v" + std::to_string(id);
  }

  static std::string function(program::Op op) {
    if (op == program::Op::to_f32) return "to_float";
    if (op == program::Op::to_i32) return "to_int";
    if (op == program::Op::philox) return "random_bits";
    return program::name_of(op);
  }

  std::string operation(const program::Node& node) const {
    const auto args = graph_.args(node);
    if (node.op == program::Op::gather) {
      const std::string tensor = "capture(" + captures_[static_cast<std::size_t>(node.slot)] + ")";
      if (args.empty()) return "Value(" + tensor + ")";
      std::string code = tensor;
      for (const program::NodeId arg : args) code += "[" + operand(arg) + "]";
      return code;
    }
    if (precedence_of(node.op) != program::Precedence::atom) {
      const std::string symbol = spelling_of(node.op);
      if (args.size() == 1) return symbol + operand(args[0]);
      return operand(args[0]) + " " + symbol + " " + operand(args[1]);
    }
    std::string code = function(node.op) + "(";
    for (std::size_t i = 0; i < args.size(); ++i) code += (i > 0 ? ", " : "") + operand(args[i]);
    return code + ")";
  }

  const program::Graph& graph_;
  std::vector<std::string> captures_;
  std::string code_;
};

template <class Names>
std::string program_code(const Program& program, const Names& names) {
  return ProgramCode(program, names).take();
}

}  // namespace fovea::test
