// SPDX-License-Identifier: Apache-2.0
#include "image.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <png.h>
#include <stdexcept>
#include <string>

#include "font.h"

namespace fovea::cli {

Colour mix(Colour a, Colour b, double share_of_b) {
  const double share = std::clamp(share_of_b, 0.0, 1.0);
  const auto channel = [share](uint8_t x, uint8_t y) {
    return static_cast<uint8_t>(std::lround(x + share * (y - x)));
  };
  return {channel(a.r, b.r), channel(a.g, b.g), channel(a.b, b.b)};
}

Image::Image(int64_t width, int64_t height, Colour background)
    : width_(width), height_(height), pixels_(static_cast<std::size_t>(width * height * 3)) {
  fill(0, 0, width, height, background);
}

void Image::set(int64_t x, int64_t y, Colour colour) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
  uint8_t* pixel = pixels_.data() + static_cast<std::size_t>((y * width_ + x) * 3);
  pixel[0] = colour.r;
  pixel[1] = colour.g;
  pixel[2] = colour.b;
}

void Image::fill(int64_t x, int64_t y, int64_t width, int64_t height, Colour colour) {
  for (int64_t j = y; j < y + height; ++j) {
    for (int64_t i = x; i < x + width; ++i) set(i, j, colour);
  }
}

int64_t Image::write(int64_t x, int64_t y, std::string_view text, Colour colour, int64_t scale) {
  for (const char character : text) {
    int64_t row_y = y;
    for (const uint8_t row : glyph(character)) {
      for (int64_t i = 0; i < kLetterWidth - 1; ++i) {
        const bool dot = (row >> (4 - i) & 1) != 0;
        if (dot) fill(x + i * scale, row_y, scale, scale, colour);
      }
      row_y += scale;
    }
    x += kLetterWidth * scale;
  }
  return x;
}

void write_png(const Image& image, const std::filesystem::path& path) {
  // libpng's simplified interface: no setjmp, an error is a return value.
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width());
  header.height = static_cast<png_uint_32>(image.height());
  header.format = PNG_FORMAT_RGB;
  if (png_image_write_to_file(&header, path.c_str(), 0, image.row(0), 0, nullptr) == 0) {
    throw std::runtime_error("cannot write " + path.string() + ": " + header.message);
  }
}

}  // namespace fovea::cli
