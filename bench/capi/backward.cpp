// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include <fovea/attention_backward.h>
#include "common.h"

using fovea_capi::guarded;
using fovea_capi::has_tensor;
using fovea_capi::require;
using fovea_capi::to_view;

namespace {

fovea::TensorView to_optional_view(const fovea_capi_tensor& tensor) {
  return has_tensor(tensor) ? to_view(tensor) : fovea::TensorView();
}

// A backward call in C++ terms.
struct BackwardCall {
  BackwardCall(const fovea_capi_call& call, const fovea_capi_backward& backward)
      : query(to_view(call.query)), key(to_view(call.key)), value(to_view(call.value)) {
    if (call.score_mod) options.score_mod = call.score_mod->value;
    if (call.block_mask) options.block_mask = call.block_mask->value;
    if (call.executor) options.executor = call.executor->value.get();
    if (!std::isnan(call.scale)) options.scale = call.scale;
    if (call.backend) options.backend = call.backend;
    options.workspace = {backward.workspace, backward.workspace_bytes};
    saved.out = to_view(call.out);
    saved.lse = to_view(call.lse);
    saved.dout = to_view(backward.dout);
    gradients.query = to_optional_view(backward.dquery);
    gradients.key = to_optional_view(backward.dkey);
    gradients.value = to_optional_view(backward.dvalue);
    for (int32_t i = 0; i < backward.capture_count; ++i) {
      gradients.score_captures.push_back(to_optional_view(backward.dcaptures[i]));
    }
  }

  fovea::TensorView query, key, value;
  fovea::BackwardInputs saved;
  fovea::FlexGradients gradients;
  fovea::FlexOptions options;
};

}  // namespace

extern "C" {

int fovea_capi_flex_attention_backward(const fovea_capi_call* call,
                                       const fovea_capi_backward* backward) {
  return guarded([&] {
    const BackwardCall in(*call, *backward);
    fovea::flex_attention_backward(in.query, in.key, in.value, in.saved, in.gradients, in.options);
  });
}

int fovea_capi_backward_workspace_bytes(const fovea_capi_call* call,
                                        const fovea_capi_backward* backward, size_t* bytes) {
  return guarded([&] {
    require(bytes, "[fovea_capi_backward_workspace_bytes] bytes: expected a place for the number");
    const BackwardCall in(*call, *backward);
    *bytes = fovea::backward_workspace_bytes(in.query, in.key, in.value, in.saved, in.gradients,
                                             in.options);
  });
}

}  // extern "C"
