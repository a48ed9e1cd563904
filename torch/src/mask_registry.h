// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include <fovea/block_mask.h>

/// Block masks as operators carry them: an i64 tensor of one element that names the mask. Operators
/// take tensors only, and the name may differ from call to call without anything being compiled again.
namespace fovea::torch {

struct KeptMask {
  BlockMask mask;
  std::vector<at::Tensor> captures;  // what the mask_mod reads
};

/// A tensor that names the mask and keeps it alive.
at::Tensor keep_mask(KeptMask mask);

/// InvalidArgument if the tensor names none (any more).
std::shared_ptr<const KeptMask> mask_of(const char* where, const at::Tensor& handle);

}  // namespace fovea::torch
