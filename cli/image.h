// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

/// A picture of pixels, and its way into a PNG file.
namespace fovea::cli {

struct Colour {
  uint8_t r = 0, g = 0, b = 0;
};

Colour mix(Colour a, Colour b, double share_of_b);

class Image {
 public:
  Image(int64_t width, int64_t height, Colour background);

  int64_t width() const noexcept { return width_; }
  int64_t height() const noexcept { return height_; }
  const uint8_t* row(int64_t y) const {
    return pixels_.data() + static_cast<std::size_t>(y * width_ * 3);
  }

  /// What lies outside is left out.
  void set(int64_t x, int64_t y, Colour colour);
  void fill(int64_t x, int64_t y, int64_t width, int64_t height, Colour colour);
  /// One line of ASCII, each dot of a glyph `scale` pixels wide; returns where it ends.
  int64_t write(int64_t x, int64_t y, std::string_view text, Colour colour, int64_t scale = 2);

 private:
  int64_t width_, height_;
  std::vector<uint8_t> pixels_;
};

/// Width of `write`'s letters, gap to the next one included, at scale 1.
inline constexpr int64_t kLetterWidth = 6;

/// Throws std::runtime_error if the file cannot be written.
void write_png(const Image& image, const std::filesystem::path& path);

}  // namespace fovea::cli
