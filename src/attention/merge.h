// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include <fovea/merge.h>

/// merge_attention: its rules, and the sums. Memory limits it, so it needs no kernels of its own.
namespace fovea::attention {

void check_merge(std::span<const PartialAttention> parts, const TensorView& out,
                 const MergeOptions& options);

/// After check_merge.
void merge(std::span<const PartialAttention> parts, const TensorView& out,
           const MergeOptions& options, Executor& executor);

}  // namespace fovea::attention
