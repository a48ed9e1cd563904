// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "attention/dispatch.h"

namespace fovea::attention {

/// The text of fovea::explain.
std::string explain(const Problem& problem, const Choice& choice, const BackendRegistry& backends,
                    const Executor& executor);

/// The text of fovea::explain_backward.
std::string explain(const BackwardProblem& problem, const BackwardChoice& choice,
                    const BackendRegistry& backends, const Executor& executor);

}  // namespace fovea::attention
