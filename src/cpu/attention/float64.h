// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attention/backward_problem.h"
#include "attention/problem.h"

/// Attention in float64 throughout, for gradient checks: plain loops over a few query rows at a time, which
/// the compiler vectorises for the machine's baseline, and programs through the row interpreter. Memory
/// is O(length) a thread. Same inputs give the same bits for any number of threads.
namespace fovea::cpu {

/// query, key and value are f64; the programs are simplified.
void float64_forward(const attention::Problem& problem, Executor& executor);

/// The same. Neither out nor lse of the problem is read: a row is at hand as a whole.
void float64_backward(const attention::BackwardProblem& problem, Executor& executor);

}  // namespace fovea::cpu
