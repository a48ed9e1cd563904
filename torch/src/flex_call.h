// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include <fovea/attention_backward.h>
#include "flex_attention_ops.h"
#include "mask_registry.h"
#include "program_text.h"

/// One call of an operator on real tensors, as fovea's options. Keeps alive what they refer to.
namespace fovea::torch {

class FlexCall {
 public:
  FlexCall(const char* where, FOVEA_FLEX_PARAMETERS);

  FlexOptions options;
  BoundProgram score, weight;

 private:
  std::shared_ptr<const KeptMask> mask_;
};

/// An output of `value_dim` columns for these queries: laid out as the query is where that is (B, H, L) or
/// (B, L, H), the last dimension contiguous. Of sizes known or symbolic.
at::Tensor empty_output(const at::Tensor& query, const c10::SymInt& value_dim);

}  // namespace fovea::torch
