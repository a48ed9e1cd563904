// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fmt/format.h>

#include "demo.h"
#include "heat_map.h"
#include "mask_picture.h"
#include "write_text.h"

namespace fovea::cli {
namespace {

constexpr int64_t kWindow = 128;  // tokens along each side of a heat map

void draw_weights(const DemoSetting& setting, DemoRow& row, const std::filesystem::path& folder) {
  const int64_t length = setting.options.length;
  const int64_t side = std::min(kWindow, length);
  const int64_t first = length - side;
  const auto rows = plain_weights(setting.data.plain(), row.variant.plain, 0, first, side);
  std::vector<float> weights;
  for (int64_t q = 0; q < side; ++q) {
    const auto begin = rows.begin() + q * length + first;
    weights.insert(weights.end(), begin, begin + side);
  }
  const HeatMap map{fmt::format("{}: {}", row.variant.name, row.variant.formula),
                    fmt::format("attention weights, head 0, tokens {} to {}", first, length - 1),
                    weights, side};
  const std::string name = row.variant.name + "-weights.png";
  write_png(draw_heat_map(map), folder / name);
  row.pictures.push_back(name);
}

}  // namespace

void draw_demo_row(const DemoSetting& setting, DemoRow& row) {
  const std::filesystem::path folder = setting.options.out;
  if (row.mask) {
    const MaskPicture picture{fmt::format("{}: {}", row.variant.name, row.variant.formula), 0, 0,
                              1024};
    write_png(draw_mask(row.mask, picture), folder / (row.variant.name + ".png"));
    write_text(folder / (row.variant.name + ".svg"), mask_svg(row.mask, picture));
    row.pictures.push_back(row.variant.name + ".png");
    row.pictures.push_back(row.variant.name + ".svg");
  }
  // Where there is no mask, the weights are all that can be seen.
  if (row.variant.score_mod || !row.mask) draw_weights(setting, row, folder);
}

}  // namespace fovea::cli
