// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <fovea/block_mask.h>
#include "program/interpret.h"
#include "unit/mask/brute_force.h"

/// What a block mask allows, position by position: its lists, and its mask_mod in partial blocks.
namespace fovea::test {

using Positions = std::vector<uint8_t>;

inline Positions positions_of(const BlockMask& mask, int64_t b, int64_t h) {
  std::string error;
  const auto kinds = kinds_of(mask, b, h, false, error);
  Positions result(static_cast<std::size_t>(mask.q_len() * mask.kv_len()));
  program::RowInterpreter rows(mask.mask_mod());
  for (int64_t q = 0; q < mask.q_len() && mask.kv_len() > 0; ++q) {
    for (int64_t kv = 0; kv < mask.kv_len(); ++kv) {
      const auto block = q / mask.block_size().q * mask.columns() + kv / mask.block_size().kv;
      const BlockKind kind = kinds[static_cast<std::size_t>(block)];
      uint8_t allowed = kind == BlockKind::full ? 1 : 0;
      if (kind == BlockKind::partial) allowed = rows.run_mask(b, h, q, kv, 1)[0];
      result[static_cast<std::size_t>(q * mask.kv_len() + kv)] = allowed;
    }
  }
  return result;
}

/// Every list of every plane is the same, in the same order.
inline bool same_lists(const BlockMask& a, const BlockMask& b) {
  if (a.shape() != b.shape() || a.block_size() != b.block_size()) return false;
  const auto equal = [](std::span<const BlockRun> x, std::span<const BlockRun> y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end());
  };
  for (int64_t i = 0; i < a.batch() * a.heads(); ++i) {
    const int64_t batch = i / a.heads(), head = i % a.heads();
    for (int64_t row = 0; row < a.rows(); ++row) {
      if (!equal(a.full(batch, head, row), b.full(batch, head, row))) return false;
      if (!equal(a.partial(batch, head, row), b.partial(batch, head, row))) return false;
    }
    for (int64_t column = 0; column < a.columns(); ++column) {
      if (!equal(a.full_in_column(batch, head, column), b.full_in_column(batch, head, column)))
        return false;
      if (!equal(a.partial_in_column(batch, head, column),
                 b.partial_in_column(batch, head, column)))
        return false;
    }
  }
  return true;
}

/// The lists by column are those by row, transposed.
inline bool is_consistent(const BlockMask& mask) {
  for (int64_t i = 0; i < mask.batch() * mask.heads(); ++i) {
    std::string error;
    const auto rows = kinds_of(mask, i / mask.heads(), i % mask.heads(), false, error);
    if (rows != kinds_of(mask, i / mask.heads(), i % mask.heads(), true, error)) return false;
  }
  return true;
}

}  // namespace fovea::test
