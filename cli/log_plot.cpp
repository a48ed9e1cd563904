// SPDX-License-Identifier: Apache-2.0
#include "log_plot.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace fovea::cli {
namespace {

constexpr Colour kInk{45, 45, 50};
constexpr Colour kRule{226, 226, 222};
constexpr int64_t kLetter = kLetterWidth * 2;  // at the scale that is used here
constexpr int64_t kLine = 22;
constexpr int64_t kLeft = 8 * kLetter;

bool usable(const Point& p) {
  return p.x > 0 && p.y > 0 && std::isfinite(p.x) && std::isfinite(p.y);
}

// One axis: from the power of `base` below the lowest to the one above the highest.
class Axis {
 public:
  Axis(double base, int64_t first_pixel, int64_t last_pixel)
      : base_(base), first_(first_pixel), last_(last_pixel) {}

  void add(double value) {
    const double exponent = std::log(value) / std::log(base_);
    lowest_ = std::min(lowest_, static_cast<int>(std::floor(exponent + 1e-9)));
    highest_ = std::max(highest_, static_cast<int>(std::ceil(exponent - 1e-9)));
  }
  void close() {
    if (lowest_ > highest_) lowest_ = highest_ = 0;
    if (lowest_ == highest_) ++highest_;
  }
  int lowest() const { return lowest_; }
  int highest() const { return highest_; }
  int64_t at(double value) const {
    const double share = (std::log(value) / std::log(base_) - lowest_) / (highest_ - lowest_);
    return first_ + std::lround(share * static_cast<double>(last_ - first_));
  }
  int64_t at_power(int exponent) const { return at(std::pow(base_, exponent)); }

 private:
  double base_;
  int64_t first_, last_;
  int lowest_ = 1 << 20, highest_ = -(1 << 20);
};

void draw_line(Image& image, int64_t x0, int64_t y0, int64_t x1, int64_t y1, Colour colour) {
  const int64_t steps = std::max<int64_t>({std::abs(x1 - x0), std::abs(y1 - y0), 1});
  for (int64_t i = 0; i <= steps; ++i) {
    const auto between = [&](int64_t a, int64_t b) {
      return a + std::lround(static_cast<double>((b - a) * i) / static_cast<double>(steps));
    };
    image.fill(between(x0, x1) - 1, between(y0, y1) - 1, 2, 2, colour);
  }
}

std::string power_of_two(int exponent) {
  if (exponent >= 20) return fmt::format("{}m", 1 << (exponent - 20));
  if (exponent >= 10) return fmt::format("{}k", 1 << (exponent - 10));
  return exponent >= 0 ? std::to_string(1 << exponent) : fmt::format("{:g}", std::exp2(exponent));
}

void draw_rules(Image& image, const Frame& frame, const Axis& x, const Axis& y) {
  for (int e = y.lowest(); e <= y.highest(); ++e) {
    const int64_t at = y.at_power(e);
    image.fill(frame.left, at, frame.width, 1, kRule);
    const std::string label = fmt::format("{:g}", std::pow(10, e));
    image.write(frame.left - 8 - static_cast<int64_t>(label.size()) * kLetter, at - 7, label, kInk);
  }
  int64_t free_from = 0;  // labels do not touch
  for (int e = x.lowest(); e <= x.highest(); ++e) {
    const int64_t at = x.at_power(e);
    image.fill(at, frame.top, 1, frame.height, kRule);
    const std::string label = power_of_two(e);
    const int64_t begin = at - static_cast<int64_t>(label.size()) * kLetter / 2;
    if (begin < free_from) continue;
    free_from = image.write(begin, frame.top + frame.height + 8, label, kInk) + kLetter;
  }
  image.fill(frame.left, frame.top, 1, frame.height, kInk);
  image.fill(frame.left, frame.top + frame.height, frame.width + 1, 1, kInk);
}

void draw_series(Image& image, const Series& series, const Axis& x, const Axis& y) {
  bool started = false;
  int64_t last_x = 0, last_y = 0;
  for (const Point& point : series.points) {
    if (!usable(point)) continue;
    const int64_t px = x.at(point.x), py = y.at(point.y);
    if (started) draw_line(image, last_x, last_y, px, py, series.colour);
    image.fill(px - 3, py - 3, 7, 7, series.colour);
    last_x = px, last_y = py;
    started = true;
  }
}

}  // namespace

Frame draw(Image& image, const LogPlot& plot, int64_t x, int64_t y, int64_t width, int64_t height) {
  const auto names = static_cast<int64_t>(plot.series.size());
  const Frame frame{x + kLeft, y + (names + 2) * kLine, width - kLeft - 3 * kLetter,
                    height - (names + 4) * kLine - kLine / 2};
  Axis across(2, frame.left, frame.left + frame.width);
  Axis up(10, frame.top + frame.height, frame.top);
  for (const Series& series : plot.series) {
    for (const Point& point : series.points) {
      if (!usable(point)) continue;
      across.add(point.x);
      up.add(point.y);
    }
  }
  across.close();
  up.close();

  image.write(frame.left, y + kLine / 2, plot.title, kInk);
  int64_t line = y + kLine * 3 / 2;
  for (const Series& series : plot.series) {
    image.fill(frame.left, line + 5, 2 * kLetter, 3, series.colour);
    image.write(frame.left + 3 * kLetter, line, series.name, kInk);
    line += kLine;
  }
  draw_rules(image, frame, across, up);
  for (const Series& series : plot.series) draw_series(image, series, across, up);
  const auto letters = static_cast<int64_t>(plot.x_name.size());
  image.write(frame.left + (frame.width - letters * kLetter) / 2,
              frame.top + frame.height + kLine + 12, plot.x_name, kInk);
  return frame;
}

}  // namespace fovea::cli
