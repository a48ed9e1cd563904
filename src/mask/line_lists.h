// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "mask/block_mask_data.h"

/// Whole lines of runs: read as sets of blocks, combined, written one after the other, transposed.
namespace fovea::mask {

/// The ends of a line's runs, ascending: the blocks [ends[0], ends[1]), [ends[2], ends[3]), ... Runs that
/// touch are merged. Returns a block that stands in two runs, or -1.
int32_t ends_of(std::span<const BlockRun> runs, std::vector<int32_t>& ends);

/// Cuts [0, length) where one of N sets of blocks, given by their ends, begins or stops, and calls
/// visit(begin, end, flags) for each part that is not empty, ascending; bit i of `flags` says that
/// set i holds it.
template <std::size_t N, class F>
void sweep(const std::array<std::vector<int32_t>, N>& sets, int32_t length, F&& visit) {
  std::array<std::size_t, N> next{};
  unsigned flags = 0;
  for (int32_t at = 0; at < length;) {
    int32_t end = length;
    for (std::size_t i = 0; i < N; ++i) {
      while (next[i] < sets[i].size() && sets[i][next[i]] <= at) {
        flags ^= 1U << i;
        ++next[i];
      }
      if (next[i] < sets[i].size()) end = std::min(end, sets[i][next[i]]);
    }
    visit(at, end, flags);
    at = end;
  }
}

/// Writes lists line by line. A run that continues the line's last one extends it.
class LineWriter {
 public:
  /// `where`: for the message when the runs do not fit 32 bits.
  LineWriter(int64_t lines, const char* where);
  void add(int32_t begin, int32_t end);
  void add(std::span<const BlockRun> runs);
  void end_line();
  RunLists finish() { return std::move(lists_); }

 private:
  RunLists lists_;
  const char* where_;
};

/// The same blocks by the other axis, which has `length` lines: ascending and merged. InvalidArgument,
/// prefixed `[where]`, if that takes more than max_bytes. No block may stand in a line twice.
RunLists transpose_lists(const RunLists& lists, int64_t length, const char* where,
                         int64_t max_bytes);

/// A plane of these lists by row; those by column are made from them.
std::shared_ptr<const Plane> make_plane(RunLists full, RunLists partial, int64_t columns,
                                        const char* where, int64_t max_bytes = INT64_MAX);

}  // namespace fovea::mask
