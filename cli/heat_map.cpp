// SPDX-License-Identifier: Apache-2.0
#include "heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <vector>

#include <fmt/format.h>

namespace fovea::cli {
namespace {

constexpr Colour kPaper{255, 255, 255};
constexpr Colour kInk{45, 45, 50};
constexpr Colour kHiddenWeight{238, 238, 235};
constexpr int64_t kMargin = 24;
constexpr int64_t kLine = 26;
constexpr double kDecades = 3;

// From dark blue over teal to yellow, ever lighter, so that it reads without colour too.
Colour heat(double t) {
  constexpr std::array<Colour, 5> kStops{
      {{13, 22, 64}, {28, 67, 120}, {45, 123, 137}, {121, 177, 109}, {250, 228, 93}}};
  const double position = std::clamp(t, 0.0, 1.0) * (kStops.size() - 1);
  const auto stop = std::min(static_cast<std::size_t>(position), kStops.size() - 2);
  return mix(kStops[stop], kStops[stop + 1], position - static_cast<double>(stop));
}

Colour colour_of(float weight, float highest) {
  if (!(weight > 0)) return kHiddenWeight;
  return heat(1 + std::log10(static_cast<double>(weight / highest)) / kDecades);
}

void draw_legend(Image& image, int64_t y, float highest) {
  const double lowest = static_cast<double>(highest) * std::pow(10.0, -kDecades);
  int64_t x = image.write(kMargin, y, fmt::format("{:.1g} or less", lowest), kInk);
  x += 8;
  constexpr int64_t kWidth = 140;
  for (int64_t i = 0; i < kWidth; ++i) {
    image.fill(x + i, y - 1, 1, 16, heat(static_cast<double>(i) / (kWidth - 1)));
  }
  x = image.write(x + kWidth + 8, y, fmt::format("{:.1g} or more", highest), kInk) + 30;
  image.fill(x, y - 1, 16, 16, mix(kHiddenWeight, kInk, 0.3));
  image.fill(x + 1, y, 14, 14, kHiddenWeight);
  image.write(x + 24, y, "hidden", kInk);
}

// Where the scale ends: all but a few outliers lie below. Rounded, so that the legend is exact.
float top_of_scale(std::span<const float> weights) {
  std::vector<float> visible;
  std::copy_if(weights.begin(), weights.end(), std::back_inserter(visible),
               [](float weight) { return weight > 0; });
  if (visible.empty()) return 1;
  const auto place = visible.begin() + static_cast<std::ptrdiff_t>(visible.size() * 998 / 1000);
  std::nth_element(visible.begin(), place, visible.end());
  const double digit = std::pow(10.0, std::floor(std::log10(static_cast<double>(*place))));
  return static_cast<float>(std::ceil(static_cast<double>(*place) / digit) * digit);
}

}  // namespace

Image draw_heat_map(const HeatMap& map, int64_t size) {
  const int64_t pixels = std::max<int64_t>(1, size / std::max<int64_t>(map.side, 1));
  const int64_t top = kMargin + 2 * kLine;
  const int64_t extent = map.side * pixels;
  const int64_t width = std::max<int64_t>(extent, 620);
  Image image(width + 2 * kMargin, top + extent + kLine + kMargin + 14, kPaper);
  const float highest = top_of_scale(map.weights);
  for (int64_t row = 0; row < map.side; ++row) {
    for (int64_t column = 0; column < map.side; ++column) {
      const float weight = map.weights[static_cast<std::size_t>(row * map.side + column)];
      image.fill(kMargin + column * pixels, top + row * pixels, pixels, pixels,
                 colour_of(weight, highest));
    }
  }
  const auto room = static_cast<std::size_t>(width / (kLetterWidth * 2));
  image.write(kMargin, kMargin, map.title.substr(0, room), kInk);
  image.write(kMargin, kMargin + kLine, map.subtitle.substr(0, room), kInk);
  draw_legend(image, top + extent + 16, highest);
  return image;
}

}  // namespace fovea::cli
