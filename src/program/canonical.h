// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "program/graph.h"

/// The canonical form of a graph: what its root needs and nothing else, nodes numbered by a
/// depth-first walk from the root (operands left to right, each node after its operands), parameter
/// and capture slots in the order in which the walk reaches them; with text and hash. Equal structure, equal text.
namespace fovea::program {

struct Canonical {
  std::shared_ptr<const Graph> graph;
  std::vector<int32_t> params;    // for each parameter of `graph`, its slot before
  std::vector<int32_t> captures;  // likewise
};

Canonical canonicalize(const Graph& graph, NodeId root, ModKind kind);

/// What several outputs need and nothing else, in the order it had, with all parameters and captures;
/// `outputs` become the new ids. Neither root nor text.
Graph compact(const Graph& graph, std::span<NodeId> outputs);

}  // namespace fovea::program
