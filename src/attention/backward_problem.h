// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include <fovea/attention_backward.h>
#include "attention/problem.h"

/// One backward call, checked: what every backend receives.
namespace fovea::attention {

struct BackwardProblem {
  Problem
      forward;  // its out, lse: what forward gave; key and value with the batch broadcast (stride 0)
  TensorView dout;
  std::optional<TensorView> dlse;
  TensorView dquery, dkey,
      dvalue;  // empty if not wanted; own sizes (a key of batch 1 has a dkey of batch 1)
  std::vector<TensorView> score_captures,
      weight_captures;  // by slot of the mods as given; empty if not wanted
  std::optional<TensorView> dsinks;
};

}  // namespace fovea::attention
