// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <fovea/attention_backward.h>
#include "attention/problem.h"
#include "program/derive.h"

/// One backward call, checked: what every backend receives.
namespace fovea::attention {

struct BackwardProblem {
  /// Its out and lse: what forward gave. Key and value with the batch broadcast (stride 0).
  Problem forward;
  TensorView dout;
  std::optional<TensorView> dlse;
  // Empty if not wanted. Of their tensors' own sizes: a key of batch 1 has a gradient of batch 1. Each
  // that is wanted is overwritten, zeros included.
  TensorView dquery, dkey, dvalue;
  std::optional<TensorView> dsinks;
  /// By slot of the mods, f32 or f64; may be shorter than the captures. Of the mods as given, until
  /// dispatch simplifies them; by the time a backend sees them, of the simplified ones.
  std::vector<TensorView> score_captures, weight_captures;
  /// Of the simplified mods, for the captures that are wanted (program::JointState runs them with
  /// forward.score_mod and forward.weight_mod); null without such a mod, and before dispatch.
  std::shared_ptr<const program::JointProgram> score_joint, weight_joint;
};

}  // namespace fovea::attention
