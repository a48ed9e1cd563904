// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fovea/executor.h>
#include "attention/backward_problem.h"

namespace fovea::cpu {

/// Zeros in the gradients of keys and values that no sequence has: those behind kv_lens.
void clear_padding(const attention::BackwardProblem& problem, Executor& executor);

}  // namespace fovea::cpu
