// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "program/graph.h"
#include "program/precedence.h"

/// Writes the parts of the text form: declarations, definitions of named nodes, expressions.
namespace fovea::program {

class Printer {
 public:
  /// `outputs`: what will be printed; a node that is used twice, or too deep, is named, unless it is
  /// the only output. `values`: of the parameters, or empty.
  Printer(const Graph& graph, std::span<const Literal> values, std::span<const NodeId> outputs);

  void head();         // score_mod(score, b, h, q, kv; p0: i32 = 1, t0: f32[1]) {
  void definitions();  //   v0 = ..., a line each
  void expression(NodeId id) { node(id, Precedence::any); }
  Printer& operator<<(std::string_view text) {
    out_ += text;
    return *this;
  }
  void number(int64_t value);
  std::string take() { return std::move(out_); }

 private:
  int32_t& name(NodeId id) { return names_[static_cast<std::size_t>(id)]; }
  void choose_names(std::span<const NodeId> outputs);
  void node(NodeId id, Precedence context);  // where the context binds as tightly as `context`
  void operation(NodeId id);
  void infix(const Node& node);
  void call(const Node& node);
  void gather(const Node& node);
  void operand(const Node& node, std::size_t i, Precedence context);
  void constant(const Literal& value);

  const Graph& graph_;
  std::span<const Literal> values_;
  std::vector<int32_t> names_;  // v<name>, or -1: inlined
  std::string out_;
};

}  // namespace fovea::program
