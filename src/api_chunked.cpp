// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>
#include <utility>

#include <fovea/chunked_attention.h>
#include <fovea/dropout.h>
#include <fovea/error.h>
#include <fovea/value.h>
#include "api.h"
#include "attention/problem.h"
#include "core/fail.h"
#include "mask/mask_of_tensor.h"

/// Chunked attention: its tensors become programs, and flex_attention's kernels run them.
namespace fovea {
namespace {

using attention::Problem;

// With heads before the length, whatever the layout.
TensorView heads_first(const TensorView& tensor, Layout layout) {
  if (layout == Layout::bhne || tensor.rank() != 4) return tensor;
  TensorView turned = tensor;
  std::swap(turned.sizes[1], turned.sizes[2]);
  std::swap(turned.strides[1], turned.strides[2]);
  return turned;
}

// What bias and mask have in common. `p` is checked already.
class Checker {
 public:
  Checker(const char* where, const Problem& p) : where_(where), p_(p) {}

  void check(const char* name, const TensorView& tensor) const {
    const std::string rule(name);
    const int64_t full[] = {p_.batch, p_.q_heads, p_.q_len, p_.kv_len};
    const char* const axes[] = {" batch", " heads", " query length", " key length"};
    core::require(tensor.rank() == 4, where_,
                  rule + " must have 4 dimensions (batch, heads, query length, key length)", 4,
                  tensor.rank());
    for (int i = 0; i < 4; ++i) {
      if (tensor.size(i) == 1 || tensor.size(i) == full[i]) continue;
      const std::string sizes = full[i] == 1 ? "1" : "1 or " + std::to_string(full[i]);
      core::fail_argument(where_, rule + axes[i] + " must be 1 or that of the scores", sizes,
                          std::to_string(tensor.size(i)));
    }
    core::require(tensor.data != nullptr || tensor.numel() == 0, where_, rule + " must have memory",
                  "a pointer", "null");
    core::require(tensor.device == p_.query.device, where_, rule + " must be on the query's device",
                  device(p_.query), device(tensor));
  }

 private:
  static const char* device(const TensorView& tensor) {
    return tensor.device.type == DeviceType::cpu ? "cpu" : "cuda";
  }

  const char* where_;
  const Problem& p_;
};

void check_chunks(const char* where, const ChunkedOptions& options) {
  core::require(options.query_chunk >= 1, where, "query_chunk must be positive", "at least 1",
                options.query_chunk);
  core::require(options.key_chunk >= 1, where, "key_chunk must be positive", "at least 1",
                options.key_chunk);
}

// Along an axis of size 1 one index serves all.
Program add_bias(const TensorView& tensor) {
  const Capture bias = capture(tensor);
  const auto at = [&](int axis, const Value& index) {
    return tensor.size(axis) == 1 ? Value(0) : index;
  };
  return score_mod([&](auto s, auto b, auto h, auto q, auto kv) {
    return s + bias(at(0, b), at(1, h), at(2, q), at(3, kv));
  });
}

// (B, Lk) to (B, 1, 1, Lk).
TensorView as_scores(const TensorView& mask) {
  if (mask.rank() != 2) return mask;
  TensorView four = mask;
  four.sizes = {mask.size(0), 1, 1, mask.size(1)};
  four.strides = {mask.stride(0), 0, 0, mask.stride(1)};
  return four;
}

BlockMask mask_of(const char* where, const TensorView& tensor, const Problem& p,
                  Executor& executor) {
  const TensorView mask = as_scores(tensor);
  core::require(mask.dtype == DType::boolean, where, "mask must be bool", "bool",
                name_of(mask.dtype));
  Checker(where, p).check("mask", mask);
  if (mask.device.type != DeviceType::cpu) {
    throw Unsupported(
        std::string("[") + where + "] mask must be on the CPU: expected cpu, got cuda",
        {"mask is read on the CPU"});
  }
  return mask::mask_of_tensor(where, mask, p.q_len, p.kv_len, executor);
}

// Made here and not by flex_attention, which would keep the mask for a next call with the same tensor.
BlockMask with_causal(const BlockMask& mask, Causal causal, const Problem& p) {
  if (causal == Causal::none) return mask;
  const int64_t shift = causal == Causal::lower_right ? p.kv_len - p.q_len : 0;
  return and_masks(mask,
                   create_block_mask([=](auto, auto, auto q, auto kv) { return kv <= q + shift; },
                                     {.q_len = p.q_len, .kv_len = p.kv_len}));
}

Program weight_mod_of(const char* where, const ChunkedOptions& options) {
  if (options.dropout == 0) return {};
  const auto needs = [&](const char* rule, const std::optional<TensorView>& tensor) {
    core::require(tensor.has_value(), where, rule, "an i64 tensor of one element", "none");
  };
  needs("dropout must have a seed", options.seed);
  needs("dropout must have an offset", options.offset);
  return dropout(options.dropout, *options.seed, *options.offset);
}

/// The call as flex_attention takes it.
struct FlexCall {
  TensorView query, key, value, out;
  FlexOptions options;
};

FlexCall as_flex(const char* where, const TensorView& query, const TensorView& key,
                 const TensorView& value, const TensorView& out, const ChunkedOptions& options) {
  check_chunks(where, options);
  FlexCall call{heads_first(query, options.layout),
                heads_first(key, options.layout),
                heads_first(value, options.layout),
                heads_first(out, options.layout),
                {}};
  FlexOptions& flex = call.options;
  flex.scale = options.scale;
  flex.lse = options.lse;
  flex.workspace = options.workspace;
  flex.executor = options.executor;
  flex.backend = options.backend;
  const Problem p = attention::validate(where, call.query, call.key, call.value, call.out, flex);
  if (options.bias) {
    core::require(is_floating(options.bias->dtype), where, "bias must be floating-point",
                  "f64, f32, bf16 or f16", name_of(options.bias->dtype));
    Checker(where, p).check("bias", *options.bias);
    flex.score_mod = add_bias(*options.bias);
  }
  flex.weight_mod = weight_mod_of(where, options);
  if (options.mask) {
    const BlockMask mask = mask_of(where, *options.mask, p, api::executor_of(flex));
    flex.block_mask = with_causal(mask, options.causal, p);
  } else {
    flex.causal = options.causal;
  }
  return call;
}

/// The same for the backward pass.
struct FlexBackward {
  FlexCall call;
  BackwardInputs saved;
  FlexGradients gradients;
};

FlexBackward as_flex(const char* where, const TensorView& query, const TensorView& key,
                     const TensorView& value, const BackwardInputs& saved,
                     const ChunkedGradients& gradients, ChunkedOptions options) {
  core::require(options.bias || !gradients.bias, where, "a gradient of the bias must have a bias",
                "the bias of the call", "none");
  options.lse.reset();
  FlexBackward result{as_flex(where, query, key, value, saved.out, options), saved, {}};
  result.saved.out = result.call.out;
  result.saved.dout = heads_first(saved.dout, options.layout);
  result.gradients.query = heads_first(gradients.query, options.layout);
  result.gradients.key = heads_first(gradients.key, options.layout);
  result.gradients.value = heads_first(gradients.value, options.layout);
  if (options.bias) result.gradients.score_captures = {gradients.bias};
  return result;
}

}  // namespace

void chunked_attention(const TensorView& query, const TensorView& key, const TensorView& value,
                       const TensorView& out, const ChunkedOptions& options) {
  constexpr const char* kWhere = "chunked_attention";
  const FlexCall call = as_flex(kWhere, query, key, value, out, options);
  api::run_forward(kWhere, call.query, call.key, call.value, call.out, call.options);
}

std::size_t chunked_workspace_bytes(const TensorView& query, const TensorView& key,
                                    const TensorView& value, const TensorView& out,
                                    const ChunkedOptions& options) {
  constexpr const char* kWhere = "chunked_workspace_bytes";
  const FlexCall call = as_flex(kWhere, query, key, value, out, options);
  return api::forward_bytes(kWhere, call.query, call.key, call.value, call.out, call.options);
}

void chunked_attention_backward(const TensorView& query, const TensorView& key,
                                const TensorView& value, const BackwardInputs& saved,
                                const ChunkedGradients& gradients, const ChunkedOptions& options) {
  constexpr const char* kWhere = "chunked_attention_backward";
  const FlexBackward b = as_flex(kWhere, query, key, value, saved, gradients, options);
  api::run_backward(kWhere, b.call.query, b.call.key, b.call.value, b.saved, b.gradients,
                    b.call.options);
}

std::size_t chunked_backward_workspace_bytes(const TensorView& query, const TensorView& key,
                                             const TensorView& value, const BackwardInputs& saved,
                                             const ChunkedGradients& gradients,
                                             const ChunkedOptions& options) {
  constexpr const char* kWhere = "chunked_backward_workspace_bytes";
  const FlexBackward b = as_flex(kWhere, query, key, value, saved, gradients, options);
  return api::backward_bytes(kWhere, b.call.query, b.call.key, b.call.value, b.saved, b.gradients,
                             b.call.options);
}

}  // namespace fovea
