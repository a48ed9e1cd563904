// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "image.h"

/// A square of attention weights as colours, on a logarithmic scale over three decades.
namespace fovea::cli {

struct HeatMap {
  std::string title;
  std::string subtitle;
  std::span<const float> weights;  ///< side x side, a row a query; 0: hidden
  int64_t side = 0;
};

/// About `size` pixels a side.
Image draw_heat_map(const HeatMap& map, int64_t size = 768);

}  // namespace fovea::cli
