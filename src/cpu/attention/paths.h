// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "attention/problem.h"
#include "cpu/attention/forward_programs.h"
#include "cpu/attention/kernels.h"

/// A forward call, by the way that suits it: decode.h for few rows a key head, else forward.h. In a jagged
/// batch each sequence takes its own, so that it has the bits of a call by itself.
namespace fovea::cpu {

std::size_t attention_workspace_bytes(const AttentionKernels& kernels,
                                      const ForwardPrograms& programs,
                                      const attention::Problem& problem, int threads);

void run_attention(const AttentionKernels& kernels, const ForwardPrograms& programs,
                   const ForwardBindings& bindings, const attention::Problem& problem,
                   const Workspace& workspace, Executor& executor);

/// For explain: a line a way.
std::string describe_paths(const AttentionKernels& kernels, const attention::Problem& problem);

}  // namespace fovea::cpu
