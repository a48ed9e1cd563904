// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "mask/block_mask_data.h"

/// Mask programs made from others.
namespace fovea::mask {

/// true everywhere.
Program allow_all();

/// (b, h, q, kv) -> mod(b, h, kv, q).
Program exchange_axes(const Program& mod);

/// (b, h, q, kv) -> mod(b, h, q + offset, kv), by the program that `shifted` keeps.
Program shift_queries(const Program& mod, ShiftedMod& shifted, int64_t offset);

}  // namespace fovea::mask
