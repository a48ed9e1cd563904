// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tuple>

#include <ATen/core/Tensor.h>

/// fovea::merge_attention: attention over all keys from attention over disjoint sets of them.
namespace fovea::torch {

using MergeResult = std::tuple<at::Tensor, at::Tensor>;  // out, lse

MergeResult merge_cpu(at::TensorList outs, at::TensorList lses);
MergeResult merge_meta(at::TensorList outs, at::TensorList lses);
MergeResult merge_autograd(at::TensorList outs, at::TensorList lses);

}  // namespace fovea::torch
