// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "attention/problem.h"
#include "cpu/attention/forward_programs.h"
#include "cpu/attention/kernels.h"

/// Few queries on many keys (decoding): keys and values are read in place, once for all query heads that
/// share them. Work is cut into pieces of keys whose length nothing but this file decides, so results do
/// not depend on the number of threads.
namespace fovea::cpu {

/// Whether sequences of so many queries are computed this way: they have at most kMaxDecodeRows rows a key
/// head, the elements of keys and of values lie together, and no weight_mod waits for normalised weights.
bool decodes(const attention::Problem& problem, int64_t q_len);

std::size_t decode_workspace_bytes(const AttentionKernels& kernels, const ForwardPrograms& programs,
                                   const attention::Problem& problem, int threads);

void run_decode(const AttentionKernels& kernels, const ForwardPrograms& programs,
                const ForwardBindings& bindings, const attention::Problem& problem,
                const Workspace& workspace, Executor& executor);

}  // namespace fovea::cpu
