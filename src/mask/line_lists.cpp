// SPDX-License-Identifier: Apache-2.0
#include "mask/line_lists.h"

#include <string>
#include <utility>

#include "core/fail.h"

namespace fovea::mask {
namespace {

constexpr int64_t kMostRuns = UINT32_MAX;

void check_runs(const char* where, int64_t runs) {
  core::require(runs < kMostRuns, where, "runs of blocks in one plane must fit 32 bits",
                "fewer than " + std::to_string(kMostRuns), runs);
}

// Walks the lines of a plane; `change(line, begin, end)` is told which blocks begin or stop at a line. A
// last line without blocks ends them all.
template <class F>
void changes(const RunLists& lists, F&& change) {
  const auto lines = static_cast<int64_t>(lists.offsets.size()) - 1;
  std::array<std::vector<int32_t>, 2> ends;  // of the line before, of this one
  std::vector<int32_t> both;
  for (int64_t line = 0; line <= lines; ++line) {
    ends[1].clear();
    if (line < lines) ends_of(lists.line(line), ends[1]);
    // An end that both have is no change.
    both.clear();
    std::set_symmetric_difference(ends[0].begin(), ends[0].end(), ends[1].begin(), ends[1].end(),
                                  std::back_inserter(both));
    for (std::size_t i = 0; i + 1 < both.size(); i += 2) change(line, both[i], both[i + 1]);
    std::swap(ends[0], ends[1]);
  }
}

}  // namespace

int32_t ends_of(std::span<const BlockRun> runs, std::vector<int32_t>& ends) {
  ends.clear();
  const auto is_before = [](const BlockRun& a, const BlockRun& b) { return a.begin < b.begin; };
  std::vector<BlockRun> sorted;
  if (!std::is_sorted(runs.begin(), runs.end(), is_before)) {
    sorted.assign(runs.begin(), runs.end());
    std::sort(sorted.begin(), sorted.end(), is_before);
    runs = sorted;
  }
  int32_t twice = -1;
  for (const BlockRun& run : runs) {
    if (run.begin >= run.end) continue;
    if (ends.empty() || ends.back() < run.begin) {
      ends.push_back(run.begin);
      ends.push_back(run.end);
      continue;
    }
    if (run.begin < ends.back() && twice < 0) twice = run.begin;
    ends.back() = std::max(ends.back(), run.end);
  }
  return twice;
}

LineWriter::LineWriter(int64_t lines, const char* where) : where_(where) {
  lists_.offsets.reserve(static_cast<std::size_t>(lines) + 1);
  lists_.offsets.push_back(0);
}

void LineWriter::add(int32_t begin, int32_t end) {
  if (begin >= end) return;
  if (lists_.runs.size() > lists_.offsets.back() && lists_.runs.back().end == begin) {
    lists_.runs.back().end = end;
    return;
  }
  lists_.runs.push_back({begin, end});
}

void LineWriter::add(std::span<const BlockRun> runs) {
  for (const BlockRun& run : runs) add(run.begin, run.end);
}

void LineWriter::end_line() {
  check_runs(where_, static_cast<int64_t>(lists_.runs.size()));
  lists_.offsets.push_back(static_cast<uint32_t>(lists_.runs.size()));
}

RunLists transpose_lists(const RunLists& lists, int64_t length, const char* where,
                         int64_t max_bytes) {
  // Each run begins with one change and stops with another.
  int64_t ends = 0;
  changes(lists, [&](int64_t, int32_t begin, int32_t end) { ends += end - begin; });
  const int64_t runs = ends / 2;
  check_runs(where, runs);
  const int64_t bytes = runs * static_cast<int64_t>(sizeof(BlockRun)) +
                        (length + 1) * static_cast<int64_t>(sizeof(uint32_t));
  core::require(bytes <= max_bytes, where, "lists by the other axis must fit the memory allowed",
                "at most " + std::to_string(max_bytes) + " bytes", bytes);

  RunLists result;
  result.offsets.assign(static_cast<std::size_t>(length) + 1, 0);
  changes(lists, [&](int64_t, int32_t begin, int32_t end) {
    for (int32_t i = begin; i < end; ++i) ++result.offsets[static_cast<std::size_t>(i) + 1];
  });
  for (std::size_t i = 0; i < static_cast<std::size_t>(length); ++i) {
    result.offsets[i + 1] = result.offsets[i] + result.offsets[i + 1] / 2;
  }
  result.runs.resize(static_cast<std::size_t>(runs));
  std::vector<uint32_t> next(result.offsets.begin(), result.offsets.end() - 1);
  std::vector<uint8_t> is_open(static_cast<std::size_t>(length), 0);
  changes(lists, [&](int64_t line, int32_t begin, int32_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      BlockRun& run = result.runs[next[i]];
      (is_open[i] ? run.end : run.begin) = static_cast<int32_t>(line);
      if (is_open[i]) ++next[i];
      is_open[i] ^= 1;
    }
  });
  return result;
}

std::shared_ptr<const Plane> make_plane(RunLists full, RunLists partial, int64_t columns,
                                        const char* where, int64_t max_bytes) {
  auto plane = std::make_shared<Plane>();
  plane->full = std::move(full);
  plane->partial = std::move(partial);
  plane->full_in_column = transpose_lists(plane->full, columns, where, max_bytes);
  plane->partial_in_column = transpose_lists(plane->partial, columns, where, max_bytes);
  return plane;
}

}  // namespace fovea::mask
