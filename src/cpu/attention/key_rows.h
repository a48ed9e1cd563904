// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attention/problem.h"
#include "cpu/attention/kernels.h"

/// Where the keys and values of a head (one of batch * kv heads) lie.
namespace fovea::cpu {

/// `tensor` is the problem's key or value. With pages, `from` is where page 0 has the head's rows.
HeadRows rows_of_head(const attention::Problem& problem, const TensorView& tensor, int64_t head);

}  // namespace fovea::cpu
