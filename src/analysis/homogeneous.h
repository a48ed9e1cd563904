// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fovea/program.h>

namespace fovea::analysis {

/// Whether f(c w) = c f(w) for every c > 0, by the structure: a weight_mod that may be applied before the
/// weights are divided by their sum. Dropout, gates and value scores are such. Looks at the values of
/// parameters for zeros alone; false may be said of a program that is.
bool is_homogeneous(const Program& weight_mod);

}  // namespace fovea::analysis
