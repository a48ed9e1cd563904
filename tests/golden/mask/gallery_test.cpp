// SPDX-License-Identifier: Apache-2.0
//
// What building each mask of the gallery takes, and gives: a change of the search shows here.
#include "unit/analysis/gallery.h"

#include <iomanip>
#include <sstream>

#include <gtest/gtest.h>

#include <fovea/block_mask.h>
#include "golden/golden_file.h"

namespace fovea {
namespace {

TEST(BlockMaskGolden, Gallery) {
  constexpr int64_t kLength = 16384;
  const test::Gallery gallery(kLength, kLength);
  std::ostringstream text;
  text << "# 16384 x 16384 in blocks of 128\n"
       << std::left << std::setw(26) << "# mask" << std::right;
  for (const char* title : {"full", "partial", "skipped", "boxes", "leaves", "elements"}) {
    text << std::setw(10) << title;
  }
  text << '\n';
  for (const auto& [name, program] : gallery.masks()) {
    const BlockMask mask = create_block_mask(program, {.q_len = kLength, .kv_len = kLength});
    const BlockCounts counts = mask.counts();
    const BlockMaskStats& stats = mask.stats();
    text << std::left << std::setw(26) << name << std::right;
    for (const int64_t number : {counts.full, counts.partial, counts.skipped, stats.boxes,
                                 stats.leaves, stats.leaf_evaluations}) {
      text << std::setw(10) << number;
    }
    text << '\n';
  }
  test::expect_golden("mask/gallery.txt", text.str());
}

}  // namespace
}  // namespace fovea
