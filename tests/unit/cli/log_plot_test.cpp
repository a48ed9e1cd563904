// SPDX-License-Identifier: Apache-2.0
#include "log_plot.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "peak_memory.h"

namespace fovea::cli {
namespace {

constexpr Colour kRed{200, 0, 0};
constexpr int64_t kWidth = 500, kHeight = 400;

// At (x, y) or beside it, where rounding may have put a line.
bool is_red(const Image& image, int64_t x, int64_t y) {
  for (int64_t i = 0; i < 9; ++i) {
    const uint8_t* pixel = image.row(y + i / 3 - 1) + (x + i % 3 - 1) * 3;
    if (pixel[0] == kRed.r && pixel[1] == kRed.g && pixel[2] == kRed.b) return true;
  }
  return false;
}

Frame draw_points(Image& image, std::vector<Point> points) {
  return draw(image, {"title", "length", {{"ours", kRed, std::move(points)}}}, 0, 0, kWidth,
              kHeight);
}

// Ends of powers lie on the frame's corners, and the middle of a power law on the straight line.
TEST(LogPlot, APowerLawIsAStraightLine) {
  Image image(kWidth, kHeight, {255, 255, 255});
  const Frame frame = draw_points(image, {{64, 0.01}, {4096, 100}});
  EXPECT_TRUE(is_red(image, frame.left, frame.top + frame.height));
  EXPECT_TRUE(is_red(image, frame.left + frame.width, frame.top));
  for (const int64_t part : {1, 2, 3}) {
    EXPECT_TRUE(is_red(image, frame.left + frame.width * part / 4,
                       frame.top + frame.height - frame.height * part / 4))
        << part;
  }
  EXPECT_FALSE(is_red(image, frame.left + frame.width / 4, frame.top + frame.height / 4));
}

TEST(LogPlot, StaysWithinItsPart) {
  Image image(kWidth + 50, kHeight + 50, {255, 255, 255});
  draw(image, {"title", "length", {{"ours", kRed, {{1, 1e-3}, {1e6, 1e9}}}}}, 25, 25, kWidth,
       kHeight);
  for (int64_t y = 0; y < kHeight + 50; ++y) {
    for (int64_t x = 0; x < kWidth + 50; ++x) {
      const bool inside = x >= 25 && y >= 25 && x < kWidth + 25 && y < kHeight + 25;
      ASSERT_TRUE(inside || image.row(y)[x * 3 + 1] == 255) << x << ", " << y;
    }
  }
}

TEST(LogPlot, LeavesOutWhatHasNoLogarithm) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Image with(kWidth, kHeight, {255, 255, 255}), without(kWidth, kHeight, {255, 255, 255});
  draw_points(with, {{64, 1}, {128, 0}, {256, nan}, {512, INFINITY}, {-1, 5}, {1024, 10}});
  draw_points(without, {{64, 1}, {1024, 10}});
  for (int64_t y = 0; y < kHeight; ++y) {
    ASSERT_TRUE(std::equal(with.row(y), with.row(y) + kWidth * 3, without.row(y))) << y;
  }
  Image none(kWidth, kHeight, {255, 255, 255});
  EXPECT_GT(draw_points(none, {}).width, 0);
}

#if defined(__linux__)
TEST(PeakMemory, CountsWhatWasThereOnlyMeanwhile) {
  constexpr std::size_t kBytes = std::size_t{48} << 20;
  const auto peak = peak_memory_of([] { std::vector<char> memory(kBytes, 1); });
  if (!peak) GTEST_SKIP() << "/proc is not there";
  EXPECT_GE(*peak, static_cast<int64_t>(kBytes) * 9 / 10);
  EXPECT_LT(*peak, static_cast<int64_t>(kBytes) * 2);
}
#endif

}  // namespace
}  // namespace fovea::cli
