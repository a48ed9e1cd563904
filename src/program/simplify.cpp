// SPDX-License-Identifier: Apache-2.0
#include "program/simplify.h"

#include <utility>

#include "program/builder.h"
#include "program/simplify_rules.h"

namespace fovea::program {

Program Simplified::bind(std::span<const Literal> original_params,
                         std::span<const TensorView> original_captures) const {
  std::vector<Literal> values;
  std::vector<TensorView> tensors;
  for (const int32_t slot : params) {
    values.push_back(original_params[static_cast<std::size_t>(slot)]);
  }
  for (const int32_t slot : captures) {
    tensors.push_back(original_captures[static_cast<std::size_t>(slot)]);
  }
  return Program(graph, std::move(values), std::move(tensors));
}

Program Simplified::bind(const Program& original) const {
  return bind(original.params(), original.captures());
}

NodeId rebuild_simplified(const Graph& graph, Builder& builder, Rewriter& rewriter) {
  std::vector<NodeId> params;
  std::vector<int32_t> captures;
  for (const ScalarType type : graph.params) params.push_back(builder.param({type, 0, 0}));
  for (const CaptureSignature& signature : graph.captures) {
    captures.push_back(builder.capture(signature));
  }
  std::vector<NodeId> copies(graph.nodes.size(), -1);
  std::vector<NodeId> args;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph[id];
    NodeId& copy = copies[static_cast<std::size_t>(id)];
    const auto slot = static_cast<std::size_t>(node.slot);
    args.clear();
    for (const NodeId arg : graph.args(node)) args.push_back(copies[static_cast<std::size_t>(arg)]);
    if (node.op == Op::input) {
      copy = builder.input(static_cast<Input>(node.slot));
    } else if (node.op == Op::constant) {
      copy = builder.constant(node.literal);
    } else if (node.op == Op::param) {
      copy = params[slot];
    } else if (node.op == Op::gather) {
      copy = builder.gather(captures[slot], args);
    } else {
      copy = rewriter.make(node.op, args);
    }
  }
  return copies[static_cast<std::size_t>(graph.root)];
}

Simplified simplify_graph(const Graph& graph) {
  Builder builder(graph.kind);
  Rewriter rewriter(builder);
  const NodeId root = rebuild_simplified(graph, builder, rewriter);
  Canonical canonical = builder.finish_graph(root, graph.kind);
  return {std::move(canonical.graph), std::move(canonical.params), std::move(canonical.captures)};
}

}  // namespace fovea::program

namespace fovea {

Program simplify(const Program& program) {
  return program::simplify_graph(program.graph()).bind(program);
}

}  // namespace fovea
