// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attention/problem.h"

namespace fovea::attention {

/// Interprets the programs at every visible element (FOVEA_CHECK=1): InvalidArgument for the first captured index
/// outside its tensor. The kernels read NaN, 0 or false there, so that nothing worse can happen.
void check_elements(const Problem& problem, Executor& executor);

}  // namespace fovea::attention
