// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <fovea/program.h>

/// Programs in one line, for tables.
namespace fovea::cli {

/// What the simplified program computes, with its literals in place: `q >= kv && q - kv <= 512`.
std::string one_line(const Program& program);

/// How many of its operations are of each shape class, as fovea::explain says it for `mod`
/// ("score_mod" or "mask_mod"): `diagonal 2, tile 1`. Classes without an operation are left out.
std::string shape_classes(const std::string& explained, std::string_view mod);

}  // namespace fovea::cli
