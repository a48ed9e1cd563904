// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <fovea/export.h>
#include <fovea/tensor.h>

/// at::Tensor as fovea sees it.
namespace fovea::torch {

/// A view of the tensor's memory, which must outlive it. InvalidArgument for a dtype or layout that fovea
/// does not read.
FOVEA_API TensorView view_of(const at::Tensor& tensor);

}  // namespace fovea::torch
