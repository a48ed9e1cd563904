// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

/// Letters of five by seven dots, and two below the line, for the legends of pictures.
namespace fovea::cli {

/// The rows from the top, five bits each, the leftmost dot highest.
using Glyph = std::array<uint8_t, 9>;

/// Of an ASCII character. Upper case is written in lower case; a character that is not known is an
/// empty box.
Glyph glyph(char character);

}  // namespace fovea::cli
