// SPDX-License-Identifier: Apache-2.0
#include "mask_picture.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "html.h"
#include "mask_cells.h"

namespace fovea::cli {
namespace {

constexpr Colour kPaper{255, 255, 255};
constexpr Colour kInk{45, 45, 50};
constexpr Colour kFull{38, 97, 156};
constexpr Colour kEmpty{238, 238, 235};
constexpr Colour kAllowed{240, 146, 38};  // in a partial block
constexpr Colour kHidden{253, 229, 201};  // likewise
constexpr int64_t kMargin = 24;
constexpr int64_t kLine = 26;

std::string size_text(const BlockMask& mask) {
  return fmt::format("{} x {}, blocks {} x {}", mask.q_len(), mask.kv_len(), mask.block_size().q,
                     mask.block_size().kv);
}

struct LegendEntry {
  Colour colour;
  std::string text;
};

std::vector<LegendEntry> legend(const BlockMask& mask) {
  const BlockCounts counts = mask.counts();
  return {{kFull, fmt::format("full {}", counts.full)},
          {kAllowed, fmt::format("partial {}", counts.partial)},
          {kEmpty, fmt::format("skipped {} ({:.1f} %)", counts.skipped, mask.sparsity())}};
}

// Pixels of one cell.
struct CellSize {
  int64_t width, height;
};

// The mask in finer blocks, about one a pixel, to draw what is inside of partial blocks.
class Detail {
 public:
  Detail(const BlockMask& mask, const MaskPicture& picture, CellSize cell) {
    const BlockSize block = mask.block_size();
    fine_ = {(block.q + cell.height - 1) / cell.height, (block.kv + cell.width - 1) / cell.width};
    const BlockMask fine = create_block_mask(
        mask.mask_mod(), {mask.q_len(), mask.kv_len(), picture.b + 1, picture.h + 1, fine_});
    cells_ = mask_cells(fine, picture.b, picture.h, std::max(fine.rows(), fine.columns()));
  }

  Colour colour(int64_t q, int64_t kv) const {
    switch (cells_.at(q / fine_.q, kv / fine_.kv)) {
      case CellKind::full: return kAllowed;
      case CellKind::partial: return mix(kHidden, kAllowed, 0.5);
      case CellKind::empty: return kHidden;
    }
    return kHidden;
  }

 private:
  BlockSize fine_;
  MaskCells cells_;
};

Colour plain_colour(CellKind kind) {
  switch (kind) {
    case CellKind::full: return kFull;
    case CellKind::partial: return kAllowed;
    case CellKind::empty: return kEmpty;
  }
  return kEmpty;
}

// A plane on the image: cells have the shape of their blocks, the last end where the mask does.
class Plane {
 public:
  Plane(const BlockMask& mask, const MaskPicture& picture)
      : mask_(mask), cells_(mask_cells(mask, picture.b, picture.h, picture.size)) {
    step_ = {mask.block_size().q * cells_.blocks, mask.block_size().kv * cells_.blocks};
    const auto longest = static_cast<double>(std::max<int64_t>({mask.q_len(), mask.kv_len(), 1}));
    const auto pixels = [&](int64_t elements) {
      const double wanted = static_cast<double>(picture.size * elements) / longest;
      return std::clamp<int64_t>(std::llround(wanted), 1, 4 * picture.size);
    };
    cell_ = {pixels(step_.kv), pixels(step_.q)};
    if (cells_.blocks == 1 && std::min(cell_.width, cell_.height) >= 2) {
      detail_.emplace(mask, picture, cell_);
    }
  }

  int64_t width() const { return (mask_.kv_len() * cell_.width + step_.kv - 1) / step_.kv; }
  int64_t height() const { return (mask_.q_len() * cell_.height + step_.q - 1) / step_.q; }

  Colour colour(int64_t x, int64_t y) const {
    const int64_t row = y / cell_.height, column = x / cell_.width;
    const CellKind kind = cells_.at(row, column);
    Colour result = plain_colour(kind);
    if (kind == CellKind::partial && detail_) {
      result = detail_->colour(y * step_.q / cell_.height, x * step_.kv / cell_.width);
    }
    const bool grid = std::min(cell_.width, cell_.height) >= 8;
    const bool edge = x % cell_.width == cell_.width - 1 || y % cell_.height == cell_.height - 1;
    return grid && edge ? mix(result, kPaper, 0.55) : result;
  }

 private:
  const BlockMask& mask_;
  MaskCells cells_;
  BlockSize step_;
  CellSize cell_{1, 1};
  std::optional<Detail> detail_;
};

// Greedy: the run of equal cells to the right, then as many rows below as have exactly that run.
class Rectangles {
 public:
  Rectangles(const MaskCells& cells, CellKind kind) : cells_(cells), kind_(kind) {
    done_.resize(cells.kinds.size());
    for (int64_t row = 0; row < cells.rows; ++row) {
      for (int64_t column = 0; column < cells.columns; ++column) {
        if (is_open(row, column)) take(row, column);
      }
    }
  }
  const std::string& path() const { return path_; }

 private:
  bool is_open(int64_t row, int64_t column) const {
    return cells_.at(row, column) == kind_ &&
           !done_[static_cast<std::size_t>(row * cells_.columns + column)];
  }
  bool is_open_run(int64_t row, int64_t begin, int64_t end) const {
    for (int64_t column = begin; column < end; ++column) {
      if (!is_open(row, column)) return false;
    }
    return true;
  }
  void take(int64_t row, int64_t column) {
    int64_t right = column + 1;
    while (right < cells_.columns && is_open(row, right)) ++right;
    int64_t below = row + 1;
    while (below < cells_.rows && is_open_run(below, column, right)) ++below;
    for (int64_t r = row; r < below; ++r) {
      for (int64_t c = column; c < right; ++c) {
        done_[static_cast<std::size_t>(r * cells_.columns + c)] = true;
      }
    }
    path_ +=
        fmt::format("M{} {}h{}v{}h-{}z", column, row, right - column, below - row, right - column);
  }

  const MaskCells& cells_;
  CellKind kind_;
  std::vector<bool> done_;
  std::string path_;
};

std::string hex(Colour colour) {
  return fmt::format("#{:02x}{:02x}{:02x}", colour.r, colour.g, colour.b);
}

}  // namespace

Image draw_mask(const BlockMask& mask, const MaskPicture& picture) {
  const Plane plane(mask, picture);
  const int64_t top = kMargin + 2 * kLine;
  const int64_t width = std::max<int64_t>(plane.width(), 620);
  Image image(width + 2 * kMargin, plane.height() + top + kLine + kMargin + 14, kPaper);
  for (int64_t y = 0; y < plane.height(); ++y) {
    for (int64_t x = 0; x < plane.width(); ++x) image.set(kMargin + x, top + y, plane.colour(x, y));
  }
  const auto room = static_cast<std::size_t>(width / (kLetterWidth * 2));
  image.write(kMargin, kMargin, picture.title.substr(0, room), kInk);
  image.write(kMargin, kMargin + kLine, "queries down, keys across: " + size_text(mask), kInk);
  int64_t x = kMargin;
  const int64_t y = top + plane.height() + 16;
  for (const LegendEntry& entry : legend(mask)) {
    image.fill(x, y - 1, 16, 16, mix(entry.colour, kInk, 0.15));
    image.fill(x + 1, y, 14, 14, entry.colour);
    x = image.write(x + 24, y, entry.text, kInk) + 24;
  }
  return image;
}

std::string mask_svg(const BlockMask& mask, const MaskPicture& picture) {
  const MaskCells cells = mask_cells(mask, picture.b, picture.h, 512);
  const auto pixels = [&](int64_t elements) {
    const auto longest = static_cast<double>(std::max<int64_t>({mask.q_len(), mask.kv_len(), 1}));
    return static_cast<double>(picture.size * elements) / longest;
  };
  const double width = std::max(pixels(mask.kv_len()), 420.0);
  const double height = pixels(mask.q_len());
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:g} {:g}\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"15\" fill=\"{}\">\n"
      "<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      width + 40, height + 118, hex(kInk), html_escaped(picture.title));
  svg += fmt::format("<text x=\"20\" y=\"32\" font-weight=\"600\">{}</text>\n",
                     html_escaped(picture.title));
  svg += fmt::format("<text x=\"20\" y=\"54\">queries down, keys across: {}</text>\n",
                     size_text(mask));
  // Drawn in cells; a plane that ends inside of its last cells is cut there.
  svg += fmt::format(
      "<svg x=\"20\" y=\"68\" width=\"{:g}\" height=\"{:g}\" viewBox=\"0 0 {:g} {:g}\" "
      "preserveAspectRatio=\"none\" shape-rendering=\"crispEdges\">\n",
      pixels(mask.kv_len()), height,
      static_cast<double>(mask.kv_len()) / static_cast<double>(mask.block_size().kv * cells.blocks),
      static_cast<double>(mask.q_len()) / static_cast<double>(mask.block_size().q * cells.blocks));
  svg += fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"{}\"/>\n", cells.columns, cells.rows,
                     hex(kEmpty));
  svg += fmt::format("<path fill=\"{}\" d=\"{}\"/>\n", hex(kFull),
                     Rectangles(cells, CellKind::full).path());
  svg += fmt::format("<path fill=\"{}\" d=\"{}\"/>\n</svg>\n", hex(kAllowed),
                     Rectangles(cells, CellKind::partial).path());
  double x = 20;
  for (const LegendEntry& entry : legend(mask)) {
    svg += fmt::format(
        "<rect x=\"{:g}\" y=\"{:g}\" width=\"14\" height=\"14\" fill=\"{}\" stroke=\"#999\"/>"
        "<text x=\"{:g}\" y=\"{:g}\">{}</text>\n",
        x, height + 84, hex(entry.colour), x + 21, height + 96, entry.text);
    x += 40 + 8.5 * static_cast<double>(entry.text.size());
  }
  return svg + "</svg>\n";
}

}  // namespace fovea::cli
