// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

/// What building the block mask of each variant of the gallery costs, at three lengths: docs/mask-costs.md.
namespace fovea::cli {

std::string mask_costs();

}  // namespace fovea::cli
