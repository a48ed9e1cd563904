// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "program/interpret.h"

/// A mask the slow way: every element of a plane, and torch's classification of its blocks.
namespace fovea::test {

enum class BlockKind : uint8_t { skipped, partial, full };

class DenseMask {
 public:
  DenseMask(const Program& program, int64_t b, int64_t h, int64_t q_len, int64_t kv_len)
      : q_len_(q_len), kv_len_(kv_len), values_(static_cast<std::size_t>(q_len * kv_len)) {
    program::RowInterpreter rows(program);
    for (int64_t q = 0; q < q_len && kv_len > 0; ++q) {
      const auto row = rows.run_mask(b, h, q, 0, kv_len);
      std::copy(row.begin(), row.end(), values_.begin() + static_cast<std::ptrdiff_t>(q * kv_len));
    }
  }

  bool at(int64_t q, int64_t kv) const {
    return values_[static_cast<std::size_t>(q * kv_len_ + kv)] != 0;
  }

  // Full only if every position of the block is inside the lengths and true.
  BlockKind kind(int64_t row, int64_t column, int64_t q_size, int64_t kv_size) const {
    bool any = false;
    bool all = (row + 1) * q_size <= q_len_ && (column + 1) * kv_size <= kv_len_;
    for (int64_t q = row * q_size; q < std::min(q_len_, (row + 1) * q_size); ++q) {
      for (int64_t kv = column * kv_size; kv < std::min(kv_len_, (column + 1) * kv_size); ++kv) {
        any |= at(q, kv);
        all &= at(q, kv);
      }
    }
    if (!any) return BlockKind::skipped;
    return all ? BlockKind::full : BlockKind::partial;
  }

 private:
  int64_t q_len_, kv_len_;
  std::vector<uint8_t> values_;
};

}  // namespace fovea::test
