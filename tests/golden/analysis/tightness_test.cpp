// SPDX-License-Identifier: Apache-2.0
//
// How much bounds alone decide, per mask: of the blocks that are all true or all false, how many it
// calls so. A change that makes bounds weaker shows here.
#include <iomanip>
#include <sstream>

#include <gtest/gtest.h>

#include "analysis/bounds.h"
#include "golden/golden_file.h"
#include "unit/analysis/dense_mask.h"
#include "unit/analysis/gallery.h"

namespace fovea {
namespace {

constexpr int64_t kLength = 1024;

struct Tally {
  int64_t pure = 0, decided = 0;
};

Tally tally(const Program& program, int64_t block) {
  analysis::Bounds bounds(program);
  const test::DenseMask dense(program, 0, 0, kLength, kLength);
  Tally result;
  for (int64_t row = 0; row < kLength / block; ++row) {
    for (int64_t column = 0; column < kLength / block; ++column) {
      const auto kind = dense.kind(row, column, block, block);
      const auto verdict = bounds.verdict({.q0 = row * block,
                                           .q1 = (row + 1) * block - 1,
                                           .kv0 = column * block,
                                           .kv1 = (column + 1) * block - 1});
      const auto expected = kind == test::BlockKind::full      ? analysis::Verdict::all
                            : kind == test::BlockKind::skipped ? analysis::Verdict::none
                                                               : analysis::Verdict::mixed;
      EXPECT_TRUE(verdict == analysis::Verdict::mixed || verdict == expected);
      result.pure += expected != analysis::Verdict::mixed ? 1 : 0;
      result.decided += verdict != analysis::Verdict::mixed ? 1 : 0;
    }
  }
  return result;
}

TEST(BoundsGolden, Tightness) {
  const test::Gallery gallery(kLength, kLength);
  std::ostringstream text;
  text << "# 1024 x 1024: blocks that are all true or all false, and how many of them bounds "
          "decides\n";
  text << std::left << std::setw(26) << "# mask";
  for (const char* title : {"pure 128", "decided", "pure 16", "decided"}) {
    text << std::right << std::setw(10) << title;
  }
  text << '\n';
  for (const auto& [name, program] : gallery.masks()) {
    text << std::left << std::setw(26) << name << std::right;
    for (const int64_t block : {128, 16}) {
      const Tally result = tally(simplify(program), block);
      text << std::setw(10) << result.pure << std::setw(10) << result.decided;
    }
    text << '\n';
  }
  test::expect_golden("analysis/tightness.txt", text.str());
}

}  // namespace
}  // namespace fovea
