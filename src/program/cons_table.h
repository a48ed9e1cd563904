// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "program/graph.h"

/// Finds an equal node of a graph under construction: the table behind hash-consing. Open addressing
/// over node ids; the nodes themselves stay in the graph.
namespace fovea::program {

class ConsTable {
 public:
  /// The node of `graph` that equals its last one, or -1 after entering the last one.
  NodeId find_or_enter_last(const Graph& graph) {
    const NodeId last = graph.size() - 1;
    if (2 * (count_ + 1) > slots_.size()) grow(graph);
    std::size_t at = hash(graph, last) & (slots_.size() - 1);
    for (; slots_[at] >= 0; at = (at + 1) & (slots_.size() - 1)) {
      if (is_equal(graph, slots_[at], last)) return slots_[at];
    }
    slots_[at] = last;
    ++count_;
    return -1;
  }

 private:
  static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 32);
  }

  static uint64_t hash(const Graph& graph, NodeId id) {
    const Node& node = graph[id];
    uint64_t h = mix(static_cast<uint64_t>(node.op), static_cast<uint64_t>(node.type));
    h = mix(h, static_cast<uint64_t>(static_cast<uint32_t>(node.slot)));
    h = mix(h, static_cast<uint64_t>(node.literal.i));
    h = mix(h, std::bit_cast<uint64_t>(node.literal.f));
    for (const NodeId arg : graph.args(node)) h = mix(h, static_cast<uint64_t>(arg));
    return h;
  }

  static bool is_equal(const Graph& graph, NodeId x, NodeId y) {
    const Node& a = graph[x];
    const Node& b = graph[y];
    if (a.op != b.op || a.type != b.type || a.slot != b.slot || a.count != b.count ||
        a.literal.i != b.literal.i ||
        std::bit_cast<uint64_t>(a.literal.f) != std::bit_cast<uint64_t>(b.literal.f)) {
      return false;
    }
    const auto args_a = graph.args(a);
    const auto args_b = graph.args(b);
    return std::equal(args_a.begin(), args_a.end(), args_b.begin());
  }

  void grow(const Graph& graph) {
    std::vector<NodeId> old(slots_.empty() ? 64 : 2 * slots_.size(), -1);
    old.swap(slots_);
    for (const NodeId id : old) {
      if (id < 0) continue;
      std::size_t at = hash(graph, id) & (slots_.size() - 1);
      while (slots_[at] >= 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = id;
    }
  }

  std::vector<NodeId> slots_;
  std::size_t count_ = 0;
};

}  // namespace fovea::program
