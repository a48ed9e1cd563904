// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "attention/backward_problem.h"
#include "attention/problem.h"

/// The dense float64 references of both directions. They share nothing with the kernels: no blocks, no
/// tiles, no bounds, one element at a time through the scalar interpreter.
namespace fovea::attention {

/// The float64 reference of a whole problem, rows in parallel.
void reference(const Problem& problem, Executor& executor);

/// One row: `out` has value_dim entries; returns the row's log-sum-exp (natural).
double reference_row(const Problem& problem, int64_t b, int64_t h, int64_t q,
                     std::span<double> out);

/// Every gradient that is wanted, from the inputs, dout and dlse alone: out and lse are computed again. One
/// element after the other, on this thread.
void reference_backward(const BackwardProblem& problem);

/// A row before its weights.
struct ReferenceRow {
  std::vector<double> dots;    // q k^T * scale; 0 where masked
  std::vector<double> scores;  // after score_mod; -inf where masked
  double largest = 0;          // of them; -inf if there is none
  double sink = 0;             // of this head; -inf if the problem has none
  double shift = 0;            // the larger of both
  double sum = 0;              // of exp(score - shift), the sink's included

  double lse() const { return sum == 0 ? shift : shift + std::log(sum); }
  double weight(double score) const { return std::exp(score - shift) / sum; }
};
ReferenceRow reference_scores(const Problem& problem, int64_t b, int64_t h, int64_t q);

}  // namespace fovea::attention
