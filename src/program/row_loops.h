// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "program/graph.h"

/// One operation over an array of elements: plain loops over fold.h, which the compiler vectorises.
/// Floats are doubles, integers int64, bools bytes of 0 and 1.
namespace fovea::program {

struct RowArgs {
  void* out = nullptr;
  const void* operands[3] = {nullptr, nullptr, nullptr};
};

/// Returns nonzero if any element has a fault (fold.h).
using RowLoop = uint64_t (*)(const RowArgs& args, int64_t count);

/// `type`: of the operands; for `where`, of the two values.
RowLoop row_loop_of(Op op, ScalarType type);

}  // namespace fovea::program
