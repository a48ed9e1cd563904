// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <fovea/block_mask.h>
#include "cpu/attention/backward_kernels.h"

/// The blocks of neighbouring columns of a mask as rectangles.
namespace fovea::cpu {

/// A block column's lists.
struct ColumnRuns {
  std::span<const BlockRun> full, partial;
};

/// Which rectangles of [0, q_len) x [0, keys) are full or partial, for columns of `block.kv` keys side by side
/// (at most 16; one may be cut off, or be a part of a wider block). Gives them one after the other, their rows
/// ascending where the lists are.
class StripWalker {
 public:
  StripWalker(std::span<const ColumnRuns> columns, BlockSize block, int64_t q_len, int64_t keys);

  /// The next rectangles, at most as many as fit; none at the end.
  std::span<const BackwardStrip> next();

 private:
  enum class Kind : uint8_t { none, partial, full };
  struct Cursor {
    Kind kind = Kind::none;
    std::size_t full = 0, partial = 0;
  };

  bool fits(std::size_t more) const { return count_ + more <= strips_.size(); }
  int64_t advance(std::size_t column, int64_t row);
  void add_rows(int64_t begin, int64_t end);
  void add(int64_t q_begin, int64_t q_end, std::size_t first, std::size_t last, Kind kind);
  void add_in_order();

  static constexpr std::size_t kMost = 16;
  const std::span<const ColumnRuns> columns_;
  const BlockSize block_;
  const int64_t q_len_, keys_;
  bool ascending_ = true;
  int64_t row_ = 0;  // of blocks
  std::array<Cursor, kMost> cursors_ = {};
  std::size_t column_ = 0, run_ = 0;  // where lists are taken in their own order
  std::array<BackwardStrip, 64> strips_;
  std::size_t count_ = 0;
};

}  // namespace fovea::cpu
