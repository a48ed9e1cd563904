// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <fovea/executor.h>
#include "variants.h"

/// Attention as one writes it down in plain loops: all scores of a row, the variant's formula,
/// softmax with std::exp, the weighted sum. Nothing is skipped and nothing of fovea's kernels is
/// used: the demo's second check, and what its times stand next to.
namespace fovea::cli {

/// Contiguous (heads, length, head_dim) arrays.
struct PlainProblem {
  const float* query = nullptr;
  const float* key = nullptr;
  const float* value = nullptr;
  int64_t heads = 0;
  int64_t length = 0;
  int64_t head_dim = 0;
};

void plain_dense(const PlainProblem& problem, const RowMod& mod, float* out, Executor& executor);

/// The attention weights of the rows [first, first + count) of a head: count x length numbers.
std::vector<float> plain_weights(const PlainProblem& problem, const RowMod& mod, int64_t h,
                                 int64_t first, int64_t count);

}  // namespace fovea::cli
