// SPDX-License-Identifier: Apache-2.0
#include "program/print_joint.h"

#include <vector>

#include "program/printer.h"

namespace fovea::program {

namespace {

using Contribution = JointProgram::Contribution;

// What follows `if (guard)`: the value that it selects.
NodeId value_under_guard(const Graph& graph, const Contribution& c) {
  const Node& node = graph[c.value];
  const bool selects = c.guard >= 0 && node.op == Op::where && graph.args(node)[0] == c.guard;
  return selects ? graph.args(node)[1] : c.value;
}

std::vector<NodeId> outputs_of(const JointProgram& joint) {
  std::vector<NodeId> outputs = {joint.graph->root, joint.dscore};
  for (const auto* list : {&joint.captures, &joint.params}) {
    for (const Contribution& c : *list) {
      outputs.insert(outputs.end(), c.index.begin(), c.index.end());
      if (c.guard >= 0) outputs.push_back(c.guard);
      outputs.push_back(value_under_guard(*joint.graph, c));
    }
  }
  return outputs;
}

void print_contribution(Printer& printer, const Graph& graph, char letter, const Contribution& c,
                        const std::string& note) {
  printer << "  ";
  if (c.guard >= 0) {
    printer << "if (";
    printer.expression(c.guard);
    printer << ") ";
  }
  printer << "d " << std::string(1, letter);
  printer.number(c.slot);
  for (const NodeId index : c.index) {
    printer << "[";
    printer.expression(index);
    printer << "]";
  }
  printer << " += ";
  printer.expression(value_under_guard(graph, c));
  if (!note.empty()) printer << "  # " << note;
  printer << "\n";
}

}  // namespace

std::string print_joint(const JointProgram& joint, std::span<const Literal> values,
                        std::span<const std::string> notes) {
  const Graph& graph = *joint.graph;
  const std::vector<NodeId> outputs = outputs_of(joint);
  Printer printer(graph, values, outputs);
  printer << "derivative of ";
  printer.head();
  printer.definitions();
  printer << "  out = ";
  printer.expression(graph.root);
  printer << "\n  d" << name_of(Input::score, graph.kind) << " = ";
  printer.expression(joint.dscore);
  printer << "\n";
  std::size_t i = 0;
  const auto note = [&] { return i < notes.size() ? notes[i++] : std::string(); };
  for (const Contribution& c : joint.captures) print_contribution(printer, graph, 't', c, note());
  for (const Contribution& c : joint.params) print_contribution(printer, graph, 'p', c, note());
  printer << "}";
  return printer.take();
}

}  // namespace fovea::program
