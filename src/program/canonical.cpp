// SPDX-License-Identifier: Apache-2.0
#include "program/canonical.h"

#include <span>
#include <string>
#include <utility>

#include "core/fail.h"
#include "program/print.h"

namespace fovea::program {

namespace {

// The nodes under `root`, each after its operands; `enter` is called as the walk reaches them.
// Iterative: graphs may be deep.
template <class Enter>
std::vector<NodeId> walk(const Graph& graph, NodeId root, Enter&& enter) {
  struct Frame {
    NodeId id;
    int32_t next;
  };
  std::vector<NodeId> order;
  std::vector<bool> seen(graph.nodes.size(), false);
  std::vector<Frame> stack;
  const auto reach = [&](NodeId id) {
    if (seen[static_cast<std::size_t>(id)]) return;
    seen[static_cast<std::size_t>(id)] = true;
    enter(graph[id]);
    stack.push_back({id, 0});
  };
  reach(root);
  while (!stack.empty()) {
    Frame& top = stack.back();
    if (top.next == graph[top.id].count) {
      order.push_back(top.id);
      stack.pop_back();
    } else {
      reach(graph.args(top.id)[static_cast<std::size_t>(top.next++)]);
    }
  }
  return order;
}

// The new slot of `slot`, given out in the order of asking.
class Renumbering {
 public:
  Renumbering(std::size_t size, std::vector<int32_t>& originals)
      : slots_(size, -1), originals_(originals) {}
  int32_t operator()(int32_t slot) {
    int32_t& renumbered = slots_[static_cast<std::size_t>(slot)];
    if (renumbered < 0) {
      renumbered = static_cast<int32_t>(originals_.size());
      originals_.push_back(slot);
    }
    return renumbered;
  }

 private:
  std::vector<int32_t> slots_;
  std::vector<int32_t>& originals_;
};

void check_size(std::size_t nodes) {
  if (nodes <= static_cast<std::size_t>(kMaxNodes)) return;
  core::fail_argument("trace", "size of the program",
                      "at most " + std::to_string(kMaxNodes) + " nodes", std::to_string(nodes));
}

// Adds a node of `graph` to `copy`, which has its operands already.
void append(const Graph& graph, NodeId id, std::vector<NodeId>& renumbered, Graph& copy) {
  Node node = graph[id];
  node.first = static_cast<int32_t>(copy.operands.size());
  for (const NodeId arg : graph.args(id)) {
    copy.operands.push_back(renumbered[static_cast<std::size_t>(arg)]);
  }
  renumbered[static_cast<std::size_t>(id)] = copy.size();
  copy.nodes.push_back(node);
}

}  // namespace

Canonical canonicalize(const Graph& graph, NodeId root, ModKind kind) {
  Canonical result;
  Renumbering param_slot(graph.params.size(), result.params);
  Renumbering capture_slot(graph.captures.size(), result.captures);
  const std::vector<NodeId> order = walk(graph, root, [&](const Node& node) {
    if (node.op == Op::param) param_slot(node.slot);
    if (node.op == Op::gather) capture_slot(node.slot);
  });
  check_size(order.size());
  auto canonical = std::make_shared<Graph>();
  canonical->kind = kind;
  canonical->nodes.reserve(order.size());
  std::vector<NodeId> renumbered(graph.nodes.size(), -1);
  for (const NodeId id : order) {
    append(graph, id, renumbered, *canonical);
    Node& node = canonical->nodes.back();
    if (node.op == Op::param) node.slot = param_slot(node.slot);
    if (node.op == Op::gather) node.slot = capture_slot(node.slot);
  }
  for (const int32_t slot : result.params) {
    canonical->params.push_back(graph.params[static_cast<std::size_t>(slot)]);
  }
  for (const int32_t slot : result.captures) {
    canonical->captures.push_back(graph.captures[static_cast<std::size_t>(slot)]);
  }
  canonical->root = canonical->size() - 1;
  canonical->text = print(*canonical);
  canonical->hash = hash_text(canonical->text);
  result.graph = std::move(canonical);
  return result;
}

Graph compact(const Graph& graph, std::span<NodeId> outputs) {
  std::vector<bool> needed(graph.nodes.size(), false);
  for (const NodeId output : outputs) needed[static_cast<std::size_t>(output)] = true;
  for (NodeId id = graph.size() - 1; id >= 0; --id) {
    if (!needed[static_cast<std::size_t>(id)]) continue;
    for (const NodeId arg : graph.args(id)) needed[static_cast<std::size_t>(arg)] = true;
  }
  Graph copy;
  copy.kind = graph.kind;
  copy.params = graph.params;
  copy.captures = graph.captures;
  std::vector<NodeId> renumbered(graph.nodes.size(), -1);
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (needed[static_cast<std::size_t>(id)]) append(graph, id, renumbered, copy);
  }
  check_size(copy.nodes.size());
  for (NodeId& output : outputs) output = renumbered[static_cast<std::size_t>(output)];
  return copy;
}

}  // namespace fovea::program
