// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <fovea/block_mask.h>
#include "image.h"

/// Pictures of block masks. Blue: full blocks, run without looking at the mask. Orange: partial
/// ones, where the PNG shows which elements are allowed. Grey: skipped. (Blue and orange stay apart
/// for every kind of colour vision.)
namespace fovea::cli {

struct MaskPicture {
  std::string title;
  int64_t b = 0, h = 0;
  int64_t size = 1024;  ///< of the longer side, in pixels; about
};

Image draw_mask(const BlockMask& mask, const MaskPicture& picture);

/// Blocks of a kind are merged into few rectangles, so the file stays small.
std::string mask_svg(const BlockMask& mask, const MaskPicture& picture);

}  // namespace fovea::cli
