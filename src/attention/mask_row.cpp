// SPDX-License-Identifier: Apache-2.0
#include "attention/mask_row.h"

#include <algorithm>

namespace fovea::attention {

MaskRow::MaskRow(const BlockMask& mask, const Program& mod, int64_t b, int64_t h, int64_t q)
    : mask_(mask), mod_(mod) {
  if (!mask || !mask.lists_decide()) return;
  block_ = mask.block_size().kv;
  kinds_.assign(static_cast<std::size_t>(mask.columns()), Kind::skipped);
  const int64_t row = q / mask.block_size().q;
  const auto mark = [this](std::span<const BlockRun> runs, Kind kind) {
    for (const BlockRun& run : runs) {
      std::fill(kinds_.begin() + run.begin, kinds_.begin() + run.end, kind);
    }
  };
  mark(mask.partial(b, h, row), Kind::partial);
  mark(mask.full(b, h, row), Kind::full);
}

}  // namespace fovea::attention
