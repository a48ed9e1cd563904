// SPDX-License-Identifier: Apache-2.0
#include "image.h"

#include <cstring>
#include <png.h>

#include <gtest/gtest.h>

#include "heat_map.h"
#include "temporary_folder.h"

namespace fovea::cli {
namespace {

TEST(Image, ComesBackFromItsFile) {
  Image image(40, 30, {250, 251, 252});
  image.fill(3, 4, 5, 6, {10, 20, 30});
  image.write(12, 10, "ab", {0, 0, 0}, 1);
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "picture.png";
  write_png(image, path);

  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_file(&header, path.c_str()), 0);
  header.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(header));
  ASSERT_NE(png_image_finish_read(&header, nullptr, pixels.data(), 0, nullptr), 0);
  ASSERT_EQ(header.width, 40U);
  ASSERT_EQ(header.height, 30U);
  EXPECT_EQ(std::memcmp(pixels.data(), image.row(0), pixels.size()), 0);
}

TEST(Image, LeavesOutWhatLiesOutside) {
  Image image(4, 4, {0, 0, 0});
  image.fill(-2, -2, 4, 4, {9, 9, 9});
  EXPECT_EQ(image.row(1)[3], 9);
  EXPECT_EQ(image.row(1)[6], 0);
  EXPECT_EQ(image.write(2, 2, "xyz", {1, 1, 1}), 2 + 3 * 2 * kLetterWidth);
}

TEST(Image, Mixes) {
  const Colour half = mix({0, 100, 255}, {100, 0, 255}, 0.5);
  EXPECT_EQ(half.r, 50);
  EXPECT_EQ(half.g, 50);
  EXPECT_EQ(half.b, 255);
}

TEST(HeatMap, LighterIsMore) {
  const float weights[] = {1.0F, 0.05F, 0.001F, 0.0F};
  const Image image = draw_heat_map({"", "", weights, 2}, 100);
  const auto brightness = [&](int64_t x, int64_t y) {
    const uint8_t* p = image.row(y) + 3 * x;
    return p[0] + p[1] + p[2];
  };
  const int most = brightness(30, 80), middle = brightness(80, 80), least = brightness(30, 140);
  EXPECT_GT(most, middle);
  EXPECT_GT(middle, least);
  EXPECT_GT(brightness(80, 140), most);  // hidden: paper
}

}  // namespace
}  // namespace fovea::cli
