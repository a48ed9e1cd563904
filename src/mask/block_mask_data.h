// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <fovea/block_mask.h>

/// What a BlockMask holds: per stored plane four lists of runs, by block row and by block column.
namespace fovea {

namespace mask {

inline int64_t block_count(int64_t length, int64_t block_size) {
  return length / block_size + (length % block_size != 0 ? 1 : 0);
}

/// Lists of runs, one a line (a block row or a block column), in compressed form. The runs of a line may
/// stand in any order and touch; lists that create_block_mask made are ascending and merged.
struct RunLists {
  std::vector<uint32_t> offsets;  // lines + 1
  std::vector<BlockRun> runs;

  std::span<const BlockRun> line(int64_t i) const {
    const auto at = static_cast<std::size_t>(i);
    return std::span(runs).subspan(offsets[at], offsets[at + 1] - offsets[at]);
  }
  int64_t blocks() const;
  int64_t memory_bytes() const;
};

/// The blocks of one (b, h).
struct Plane {
  RunLists full, partial;                      // by row
  RunLists full_in_column, partial_in_column;  // by column
  int64_t memory_bytes() const;
};

}  // namespace mask

struct BlockMask::Data {
  Program mask_mod;
  int64_t q_len = 0, kv_len = 0;
  int64_t batch = 1, heads = 1;  // stored
  BlockSize block_size;
  int64_t rows = 0, columns = 0;
  std::vector<std::shared_ptr<const mask::Plane>> planes;  // [batch][heads]; slices share them
  BlockCounts counts;
  BlockMaskStats stats;
};

}  // namespace fovea
