// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "mask/block_mask_data.h"

/// Collects the runs of a plane's lines while the plane is split, in any order of lines but with ascending
/// runs in each, and packs them at the end.
namespace fovea::mask {

class RunBuilder {
 public:
  explicit RunBuilder(int64_t lines);

  /// Appends [begin, end) to the lines [first, last); a run that touches the line's last one extends it.
  void append(int32_t first, int32_t last, BlockRun run);
  RunLists finish() const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Link {
    BlockRun run;
    uint32_t next = kNone;
  };
  struct Line {
    uint32_t head = kNone;
    uint32_t tail = kNone;
  };
  std::vector<Line> lines_;
  std::vector<Link> links_;
};

}  // namespace fovea::mask
