// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image.h"

/// Lines over two logarithmic axes.
namespace fovea::cli {

struct Point {
  double x = 0, y = 0;
};

struct Series {
  std::string name;
  Colour colour;
  std::vector<Point> points;  ///< x ascending; what is not positive and finite is left out
};

struct LogPlot {
  std::string title;           ///< above
  std::string x_name;          ///< under the x axis, which is ruled at powers of two
  std::vector<Series> series;  ///< y is ruled at powers of ten
};

/// Where a plot's lines lie in the picture.
struct Frame {
  int64_t left = 0, top = 0, width = 0, height = 0;
};

/// Draws into the part of `image` that begins at (x, y), width x height pixels; returns the frame.
Frame draw(Image& image, const LogPlot& plot, int64_t x, int64_t y, int64_t width, int64_t height);

}  // namespace fovea::cli
