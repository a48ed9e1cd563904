// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "attention/backward_problem.h"
#include "cpu/attention/backward_kernels.h"
#include "cpu/attention/backward_programs.h"

/// The backward pass over all heads: how the keys are cut into tasks, who adds what in which order, and
/// where everything lies in the workspace. What is allocated is small, and
/// before any work.
namespace fovea::cpu {

std::size_t backward_workspace_bytes(const BackwardKernels& kernels,
                                     const BackwardPrograms& programs,
                                     const attention::BackwardProblem& problem, int threads);

void run_backward(const BackwardKernels& kernels, const BackwardPrograms& programs,
                  const BackwardBindings& bindings, const attention::BackwardProblem& problem,
                  const Workspace& workspace, Executor& executor);

}  // namespace fovea::cpu
