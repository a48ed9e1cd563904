// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attention/problem.h"

namespace fovea::attention {

/// Checks the captured indices of both mods over the problem's whole index space, as far as their
/// bounds can be proven, and sets needs_64_bits. What a thread checked last it remembers, unless the
/// values of captured tensors decided: these may change from call to call.
void check_index_ranges(Problem& problem);

}  // namespace fovea::attention
