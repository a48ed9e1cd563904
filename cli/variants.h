// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gallery/variant.h"

/// The gallery (examples/gallery) as the verbs see it.
namespace fovea::cli {

using gallery::Parameter;
using gallery::RowMod;
using gallery::Shape;
using gallery::Variant;
using gallery::variant_names;

/// As gallery::make_variant, but what the user got wrong is a UsageError.
Variant make_variant(std::string_view name, const Shape& shape);

}  // namespace fovea::cli
