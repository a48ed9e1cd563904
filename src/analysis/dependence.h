// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "analysis/linear_form.h"
#include "program/graph.h"

/// Which inputs a node needs, and whether q and kv enter only as q - kv: its shape class. Everything
/// below `tile` can leave the inner loop.
namespace fovea::analysis {

enum class ShapeClass : uint8_t {
  scalar,    // neither q nor kv (may need b and h)
  row,       // q
  column,    // kv
  diagonal,  // q - kv
  tile,      // q and kv, or the score
};
const char* name_of(ShapeClass shape) noexcept;

struct Dependence {
  bool score = false, b = false, h = false, q = false, kv = false;
  ShapeClass shape = ShapeClass::scalar;
  PlaneForm form = {};  // of an integer
};
/// Of something computed from both.
ShapeClass join(ShapeClass a, ShapeClass b) noexcept;

/// One entry a node. A diagonal node may be evaluated with (q, kv) = (d, 0) for d = q - kv.
std::vector<Dependence> dependence(const program::Graph& graph);

}  // namespace fovea::analysis
