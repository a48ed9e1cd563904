// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "attention/problem.h"

namespace fovea::attention {

/// The float64 reference of a whole problem, rows in parallel.
void reference(const Problem& problem, Executor& executor);

/// One row: `out` has value_dim entries; returns the row's log-sum-exp (natural).
double reference_row(const Problem& problem, int64_t b, int64_t h, int64_t q,
                     std::span<double> out);

}  // namespace fovea::attention
