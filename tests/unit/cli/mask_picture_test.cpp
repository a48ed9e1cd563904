// SPDX-License-Identifier: Apache-2.0
#include "mask_picture.h"

#include <array>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "mask_cells.h"

namespace fovea::cli {
namespace {

BlockMask causal(int64_t q_len, int64_t kv_len, BlockSize block) {
  return create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                           {q_len, kv_len, 1, 1, block});
}

TEST(MaskCells, AreTheBlocksWhereThereAreFew) {
  const MaskCells cells = mask_cells(causal(256, 384, {64, 128}), 0, 0, 100);
  EXPECT_EQ(cells.rows, 4);
  EXPECT_EQ(cells.columns, 3);
  EXPECT_EQ(cells.blocks, 1);
  using enum CellKind;
  EXPECT_EQ(cells.kinds, (std::vector{partial, empty, empty, partial, empty, empty, full, partial,
                                      empty, full, partial, empty}));
}

TEST(MaskCells, AreSharedByManyBlocks) {
  const MaskCells cells = mask_cells(causal(1000, 1000, {10, 10}), 0, 0, 30);
  EXPECT_EQ(cells.blocks, 4);
  EXPECT_EQ(cells.rows, 25);
  for (int64_t row = 0; row < 25; ++row) {
    for (int64_t column = 0; column < 25; ++column) {
      const CellKind expected = column < row   ? CellKind::full
                                : column > row ? CellKind::empty
                                               : CellKind::partial;
      EXPECT_EQ(cells.at(row, column), expected) << row << " " << column;
    }
  }
}

TEST(MaskCells, CountsScoresToTheRaggedEnd) {
  // Rows 0..63 see keys 0..63, rows 64..99 all 80.
  EXPECT_EQ(computed_scores(causal(100, 80, {64, 64})), 64 * 64 + 36 * 80);
}

Colour pixel(const Image& image, int64_t x, int64_t y) {
  const uint8_t* p = image.row(y) + 3 * x;
  return {p[0], p[1], p[2]};
}

TEST(MaskPicture, ColoursFollowTheMask) {
  const Image image = draw_mask(causal(512, 512, {128, 128}), {"causal", 0, 0, 1024});
  constexpr int64_t kLeft = 24, kTop = 76;
  EXPECT_EQ(image.width(), 1024 + 2 * kLeft);
  const Colour full = pixel(image, kLeft + 10, kTop + 900);
  const Colour skipped = pixel(image, kLeft + 900, kTop + 10);
  const Colour allowed = pixel(image, kLeft + 10, kTop + 200);
  const Colour hidden = pixel(image, kLeft + 200, kTop + 10);
  EXPECT_GT(full.b, full.r);
  EXPECT_GT(allowed.r, allowed.b + 100);
  EXPECT_GT(hidden.r, hidden.b);
  EXPECT_GT(hidden.b, allowed.b);
  EXPECT_EQ(skipped.r, skipped.g);
}

TEST(MaskPicture, KeepsTheMasksProportions) {
  const Image image = draw_mask(causal(300, 900, {32, 64}), {"", 0, 0, 900});
  EXPECT_EQ(image.width(), 900 + 48);
  EXPECT_EQ(image.height(), 300 + 76 + 26 + 24 + 14);
}

// The rectangles of one colour, as cells.
std::multiset<std::pair<int, int>> cells_of(const std::string& path) {
  std::multiset<std::pair<int, int>> cells;
  const std::regex rectangle(R"(M(\d+) (\d+)h(\d+)v(\d+)h-(\d+)z)");
  for (std::sregex_iterator it(path.begin(), path.end(), rectangle), end; it != end; ++it) {
    const auto number = [&](std::size_t i) { return std::stoi((*it)[i]); };
    EXPECT_EQ(number(3), number(5));
    for (int y = 0; y < number(4); ++y) {
      for (int x = 0; x < number(3); ++x) cells.emplace(number(2) + y, number(1) + x);
    }
  }
  return cells;
}

TEST(MaskSvg, RectanglesCoverEachBlockOnce) {
  const BlockMask mask = create_block_mask(
      [](auto, auto, auto q, auto kv) { return kv < 200 || (q >= kv && q - kv < 300); },
      {1000, 900, 1, 1, {32, 32}});
  const std::string svg = mask_svg(mask, {"prefix & <window>", 0, 0, 800});
  EXPECT_NE(svg.find("prefix &amp; &lt;window&gt;"), std::string::npos);
  const MaskCells cells = mask_cells(mask, 0, 0, 512);
  const std::regex path(" d=\"([^\"]*)\"");
  std::sregex_iterator it(svg.begin(), svg.end(), path);
  for (const CellKind kind : {CellKind::full, CellKind::partial}) {
    ASSERT_NE(it, std::sregex_iterator());
    std::multiset<std::pair<int, int>> expected;
    for (int64_t row = 0; row < cells.rows; ++row) {
      for (int64_t column = 0; column < cells.columns; ++column) {
        if (cells.at(row, column) == kind) {
          expected.emplace(static_cast<int>(row), static_cast<int>(column));
        }
      }
    }
    EXPECT_EQ(cells_of((*it)[1]), expected);
    ++it;
  }
  EXPECT_LT(svg.size(), 4000U);
}

}  // namespace
}  // namespace fovea::cli
