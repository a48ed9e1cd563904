// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "program/graph.h"

/// Exact simplification: never changes a result bit, NaN and -0.0 included, and looks at the
/// structure alone. So a caller may keep the simplified graph of a structure (by Graph::hash) and
/// bind it to new parameters and tensors.
namespace fovea::program {

struct Simplified {
  std::shared_ptr<const Graph> graph;
  std::vector<int32_t> params;    // for each parameter of `graph`, its slot in the original
  std::vector<int32_t> captures;  // likewise

  /// The simplified program on the values of an original with this structure.
  Program bind(std::span<const Literal> original_params,
               std::span<const TensorView> original_captures) const;
  Program bind(const Program& original) const;
};

Simplified simplify_graph(const Graph& graph);

}  // namespace fovea::program
