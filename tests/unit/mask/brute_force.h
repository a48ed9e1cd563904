// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <fovea/block_mask.h>
#include "unit/analysis/dense_mask.h"

/// A block mask held against brute force.
namespace fovea::test {

/// The kinds of all blocks of a plane, row-major, from the lists by row or by column. A block that
/// stands in two lists, or lists that are not ascending and merged, fail.
inline std::vector<BlockKind> kinds_of(const BlockMask& mask, int64_t b, int64_t h, bool by_column,
                                       std::string& error) {
  std::vector<BlockKind> kinds(static_cast<std::size_t>(mask.rows() * mask.columns()),
                               BlockKind::skipped);
  const int64_t lines = by_column ? mask.columns() : mask.rows();
  const auto fill = [&](int64_t line, std::span<const BlockRun> runs, BlockKind kind) {
    int64_t last = -1;
    for (const BlockRun& run : runs) {
      if (run.begin <= last || run.begin >= run.end) error = "runs are not ascending and merged";
      last = run.end;
      for (int64_t i = run.begin; i < run.end; ++i) {
        BlockKind& cell = kinds[static_cast<std::size_t>(by_column ? i * mask.columns() + line
                                                                   : line * mask.columns() + i)];
        if (cell != BlockKind::skipped) error = "a block stands in two lists";
        cell = kind;
      }
    }
  };
  for (int64_t line = 0; line < lines; ++line) {
    fill(line, by_column ? mask.full_in_column(b, h, line) : mask.full(b, h, line),
         BlockKind::full);
    fill(line, by_column ? mask.partial_in_column(b, h, line) : mask.partial(b, h, line),
         BlockKind::partial);
  }
  return kinds;
}

/// The first difference between a mask and brute force, as text; empty if there is none.
inline std::string difference(const BlockMask& mask, const DenseMask& dense, int64_t b, int64_t h) {
  std::string error;
  const auto by_row = kinds_of(mask, b, h, false, error);
  const auto by_column = kinds_of(mask, b, h, true, error);
  if (!error.empty()) return error;
  if (by_row != by_column) return "the lists by column are not the transpose of those by row";
  static constexpr const char* kNames[] = {"skipped", "partial", "full"};
  for (int64_t row = 0; row < mask.rows(); ++row) {
    for (int64_t column = 0; column < mask.columns(); ++column) {
      const BlockKind expected = dense.kind(row, column, mask.block_size().q, mask.block_size().kv);
      const BlockKind got = by_row[static_cast<std::size_t>(row * mask.columns() + column)];
      if (expected == got) continue;
      return "block (" + std::to_string(row) + ", " + std::to_string(column) + "): expected " +
             kNames[static_cast<int>(expected)] + ", got " + kNames[static_cast<int>(got)];
    }
  }
  return {};
}

}  // namespace fovea::test
