// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <fovea/block_mask.h>

/// A plane of a BlockMask as a grid of cells, for pictures.
namespace fovea::cli {

enum class CellKind : uint8_t { empty, partial, full };

struct MaskCells {
  int64_t rows = 0, columns = 0;
  int64_t blocks =
      1;  ///< along each side of a cell; more than one where there are too many to draw
  std::vector<CellKind> kinds;
  CellKind at(int64_t row, int64_t column) const {
    return kinds[static_cast<std::size_t>(row * columns + column)];
  }
};

/// At most `most` cells a side. A cell over blocks of different kinds is partial.
MaskCells mask_cells(const BlockMask& mask, int64_t b, int64_t h, int64_t most);

/// Scores in the blocks that are computed, over all stored planes: what a kernel works on.
int64_t computed_scores(const BlockMask& mask);

}  // namespace fovea::cli
