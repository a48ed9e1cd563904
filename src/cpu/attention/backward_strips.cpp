// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward_strips.h"

#include <algorithm>
#include <limits>

namespace fovea::cpu {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

bool is_ascending(std::span<const BlockRun> runs) {
  for (std::size_t i = 1; i < runs.size(); ++i) {
    if (runs[i].begin < runs[i - 1].end) return false;
  }
  return true;
}

}  // namespace

StripWalker::StripWalker(std::span<const ColumnRuns> columns, BlockSize block, int64_t q_len,
                         int64_t keys)
    : columns_(columns), block_(block), q_len_(q_len), keys_(keys) {
  for (const ColumnRuns& column : columns_) {
    ascending_ = ascending_ && is_ascending(column.full) && is_ascending(column.partial);
  }
}

std::span<const BackwardStrip> StripWalker::next() {
  count_ = 0;
  if (!ascending_) {
    add_in_order();
    return {strips_.data(), count_};
  }
  while (row_ != kNever && fits(columns_.size())) {
    int64_t change = kNever;
    for (std::size_t c = 0; c < columns_.size(); ++c) change = std::min(change, advance(c, row_));
    if (change != kNever) add_rows(row_, change);
    row_ = change;
  }
  return {strips_.data(), count_};
}

// Brings a column to a row of blocks: what it has there, and where that ends.
int64_t StripWalker::advance(std::size_t column, int64_t row) {
  Cursor& at = cursors_[column];
  at.kind = Kind::none;
  int64_t change = kNever;
  const auto look = [&](std::span<const BlockRun> runs, std::size_t& i, Kind kind) {
    while (i < runs.size() && runs[i].end <= row) ++i;
    if (i == runs.size()) return;
    const bool inside = runs[i].begin <= row;
    if (inside) at.kind = kind;
    change = std::min<int64_t>(change, inside ? runs[i].end : runs[i].begin);
  };
  look(columns_[column].full, at.full, Kind::full);
  look(columns_[column].partial, at.partial, Kind::partial);
  return change;
}

void StripWalker::add_rows(int64_t begin, int64_t end) {
  for (std::size_t first = 0, last; first < columns_.size(); first = last) {
    const Kind kind = cursors_[first].kind;
    last = first + 1;
    while (last < columns_.size() && cursors_[last].kind == kind) ++last;
    if (kind != Kind::none) add(begin, end, first, last, kind);
  }
}

void StripWalker::add(int64_t q_begin, int64_t q_end, std::size_t first, std::size_t last,
                      Kind kind) {
  BackwardStrip strip;
  strip.q_begin = q_begin * block_.q;
  strip.q_end = std::min(q_end * block_.q, q_len_);
  strip.kv_begin = static_cast<int64_t>(first) * block_.kv;
  strip.kv_end = std::min(static_cast<int64_t>(last) * block_.kv, keys_);
  strip.masked = kind == Kind::partial;
  if (strip.q_begin < strip.q_end && strip.kv_begin < strip.kv_end) strips_[count_++] = strip;
}

// Column by column and run by run, full blocks first.
void StripWalker::add_in_order() {
  for (; column_ < columns_.size(); ++column_, run_ = 0) {
    const ColumnRuns& column = columns_[column_];
    for (; run_ < column.full.size() + column.partial.size(); ++run_) {
      if (!fits(1)) return;
      const bool full = run_ < column.full.size();
      const BlockRun run = full ? column.full[run_] : column.partial[run_ - column.full.size()];
      add(run.begin, run.end, column_, column_ + 1, full ? Kind::full : Kind::partial);
    }
  }
}

}  // namespace fovea::cpu
