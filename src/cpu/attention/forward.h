// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "attention/problem.h"
#include "cpu/attention/forward_programs.h"
#include "cpu/attention/kernels.h"

/// The forward pass over all heads: which tiles there are, who computes them in which order, and where
/// everything lies in the workspace. Nothing is allocated.
namespace fovea::cpu {

/// Whether queries, keys, weights and values are multiplied as pairs of bf16; else they are widened.
bool multiplies_pairs(const AttentionKernels& kernels, const attention::Problem& problem);

/// Keys of a step: from shapes alone, since it decides in which pieces a row is summed.
int64_t key_step_of(const attention::Problem& problem);
/// Rows of a tile at most; results do not depend on it.
int64_t max_tile_rows_of(const attention::Problem& problem);

std::size_t forward_workspace_bytes(const AttentionKernels& kernels,
                                    const ForwardPrograms& programs,
                                    const attention::Problem& problem, int threads);

void run_forward(const AttentionKernels& kernels, const ForwardPrograms& programs,
                 const ForwardBindings& bindings, const attention::Problem& problem,
                 const Workspace& workspace, Executor& executor);

}  // namespace fovea::cpu
