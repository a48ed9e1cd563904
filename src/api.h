// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <fovea/attention.h>
#include <fovea/attention_backward.h>
#include "attention/dispatch.h"

/// What the public functions of both directions share.
namespace fovea::api {

const attention::BackendRegistry& registry();  // every backend that is built in
Executor& executor_of(const FlexOptions& options);

/// flex_attention and workspace_bytes under another name.
void run_forward(const char* where, const TensorView& query, const TensorView& key,
                 const TensorView& value, const TensorView& out, const FlexOptions& options);
std::size_t forward_bytes(const char* where, const TensorView& query, const TensorView& key,
                          const TensorView& value, const TensorView& out,
                          const FlexOptions& options);

/// flex_attention_backward and backward_workspace_bytes likewise.
void run_backward(const char* where, const TensorView& query, const TensorView& key,
                  const TensorView& value, const BackwardInputs& saved,
                  const FlexGradients& gradients, const FlexOptions& options);
std::size_t backward_bytes(const char* where, const TensorView& query, const TensorView& key,
                           const TensorView& value, const BackwardInputs& saved,
                           const FlexGradients& gradients, const FlexOptions& options);

}  // namespace fovea::api
