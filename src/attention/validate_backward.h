// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attention/backward_problem.h"

/// The rules of flex_attention_backward.
namespace fovea::attention {

/// What a backward pass reads of BackwardInputs.
enum class Saved : uint8_t {
  all,
  gradients,  // dout and dlse alone: the reference computes out and lse itself
};

/// Checks every rule, those of the forward call first, and fills a BackwardProblem. `where` is the name of
/// the public function, for messages.
BackwardProblem validate_backward(const char* where, const TensorView& query, const TensorView& key,
                                  const TensorView& value, const BackwardInputs& saved,
                                  const FlexGradients& gradients, const FlexOptions& options,
                                  Saved reads = Saved::all);

}  // namespace fovea::attention
