// SPDX-License-Identifier: Apache-2.0
#include "mask_cells.h"

#include <algorithm>

namespace fovea::cli {
namespace {

// How many of each cell's blocks are in the runs.
void count_runs(std::span<const BlockRun> runs, int64_t blocks, int32_t* row) {
  for (const BlockRun& run : runs) {
    for (int64_t cell = run.begin / blocks; cell * blocks < run.end; ++cell) {
      const int64_t begin = std::max<int64_t>(run.begin, cell * blocks);
      const int64_t end = std::min<int64_t>(run.end, (cell + 1) * blocks);
      row[cell] += static_cast<int32_t>(end - begin);
    }
  }
}

int64_t elements(std::span<const BlockRun> runs, int64_t block, int64_t length) {
  int64_t sum = 0;
  for (const BlockRun& run : runs) {
    sum += std::min(run.end * block, length) - std::min(run.begin * block, length);
  }
  return sum;
}

}  // namespace

MaskCells mask_cells(const BlockMask& mask, int64_t b, int64_t h, int64_t most) {
  MaskCells cells;
  const int64_t longest = std::max(mask.rows(), mask.columns());
  cells.blocks = std::max<int64_t>(1, (longest + most - 1) / most);
  cells.rows = (mask.rows() + cells.blocks - 1) / cells.blocks;
  cells.columns = (mask.columns() + cells.blocks - 1) / cells.blocks;
  const auto width = static_cast<std::size_t>(cells.columns);
  std::vector<int32_t> full(width), partial(width);
  cells.kinds.reserve(static_cast<std::size_t>(cells.rows) * width);
  for (int64_t row = 0; row < cells.rows; ++row) {
    std::fill(full.begin(), full.end(), 0);
    std::fill(partial.begin(), partial.end(), 0);
    const int64_t first = row * cells.blocks;
    const int64_t last = std::min(first + cells.blocks, mask.rows());
    for (int64_t r = first; r < last; ++r) {
      count_runs(mask.full(b, h, r), cells.blocks, full.data());
      count_runs(mask.partial(b, h, r), cells.blocks, partial.data());
    }
    for (int64_t column = 0; column < cells.columns; ++column) {
      const auto c = static_cast<std::size_t>(column);
      const int64_t across = std::min(cells.blocks, mask.columns() - column * cells.blocks);
      const bool all = full[c] == (last - first) * across;
      const bool none = full[c] == 0 && partial[c] == 0;
      cells.kinds.push_back(all ? CellKind::full : none ? CellKind::empty : CellKind::partial);
    }
  }
  return cells;
}

int64_t computed_scores(const BlockMask& mask) {
  const BlockSize block = mask.block_size();
  int64_t sum = 0;
  for (int64_t b = 0; b < mask.batch(); ++b) {
    for (int64_t h = 0; h < mask.heads(); ++h) {
      for (int64_t row = 0; row < mask.rows(); ++row) {
        const int64_t height = std::min(block.q, mask.q_len() - row * block.q);
        sum += height * (elements(mask.full(b, h, row), block.kv, mask.kv_len()) +
                         elements(mask.partial(b, h, row), block.kv, mask.kv_len()));
      }
    }
  }
  return sum;
}

}  // namespace fovea::cli
