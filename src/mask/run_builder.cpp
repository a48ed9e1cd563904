// SPDX-License-Identifier: Apache-2.0
#include "mask/run_builder.h"

#include <fovea/error.h>

namespace fovea::mask {

RunBuilder::RunBuilder(int64_t lines) : lines_(static_cast<std::size_t>(lines)) {}

void RunBuilder::append(int32_t first, int32_t last, BlockRun run) {
  for (int32_t i = first; i < last; ++i) {
    Line& line = lines_[static_cast<std::size_t>(i)];
    if (line.tail != kNone && links_[line.tail].run.end == run.begin) {
      links_[line.tail].run.end = run.end;
      continue;
    }
    if (links_.size() >= kNone) {
      throw InvalidArgument(
          "[create_block_mask] runs of blocks in one plane must fit 32 bits: expected fewer than " +
          std::to_string(kNone) + ", got more");
    }
    const auto link = static_cast<uint32_t>(links_.size());
    links_.push_back({run, kNone});
    (line.tail == kNone ? line.head : links_[line.tail].next) = link;
    line.tail = link;
  }
}

RunLists RunBuilder::finish() const {
  RunLists lists;
  lists.offsets.reserve(lines_.size() + 1);
  lists.runs.reserve(links_.size());
  lists.offsets.push_back(0);
  for (const Line& line : lines_) {
    for (uint32_t i = line.head; i != kNone; i = links_[i].next)
      lists.runs.push_back(links_[i].run);
    lists.offsets.push_back(static_cast<uint32_t>(lists.runs.size()));
  }
  return lists;
}

}  // namespace fovea::mask
