// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <fovea/attention.h>
#include <fovea/export.h>
#include <fovea/tensor.h>

/// Gradients of fused attention.
namespace fovea {

/// Outputs of a backward pass. A view that is empty (default-constructed) is not wanted and not
/// computed. All are overwritten, not added to.
struct FlexGradients {
  TensorView query = {};  ///< (B, Hq, Lq, E), the query's dtype
  TensorView key = {};  ///< the key's shape and dtype; of batch 1, if the key's is: summed over it
  TensorView value = {};  ///< likewise
  /// By captured tensor of score_mod, in the order of Program::captures(): its shape; f32, or f64. May
  /// be shorter than the captures. A tensor that is captured twice is two slots: add them up.
  std::vector<TensorView> score_captures = {};
  std::vector<TensorView> weight_captures = {};    ///< the same for weight_mod
  std::optional<TensorView> sinks = std::nullopt;  ///< (Hq) f32 or f64
};

/// What backward needs besides the inputs of the forward call.
struct BackwardInputs {
  TensorView out;   ///< (B, Hq, Lq, Ev): what forward gave
  TensorView lse;   ///< (B, Hq, Lq) f32 or f64: what forward gave
  TensorView dout;  ///< (B, Hq, Lq, Ev): d loss / d out, the query's dtype; any strides
  std::optional<TensorView> dlse = std::nullopt;  ///< (B, Hq, Lq) f32 or f64: d loss / d lse
};

/// Gradients of flex_attention(query, key, value, out, options) from its saved out and lse. No buffer
/// is as large as the scores; same inputs give the same bits for any number of threads.
/// `options` are the forward call's; its outputs (lse, max_scores) are ignored.
/// Rows that attend to nothing have zero gradients, and NaN behind a mask never reaches one.
/// InvalidArgument for a broken rule, Unsupported if no backend can (with all reasons). A captured tensor
/// that no gradient reaches (see derivative_text) gets zeros; one that is no float is an error, and so is
/// a page table.
/// Dao et al., "FlashAttention-2", 2023, algorithm 2; docs/derivatives.md for programs.
FOVEA_API void flex_attention_backward(const TensorView& query, const TensorView& key,
                                       const TensorView& value, const BackwardInputs& saved,
                                       const FlexGradients& gradients,
                                       const FlexOptions& options = {});

/// The scratch memory that this call wants. Same errors.
FOVEA_API std::size_t backward_workspace_bytes(const TensorView& query, const TensorView& key,
                                               const TensorView& value, const BackwardInputs& saved,
                                               const FlexGradients& gradients,
                                               const FlexOptions& options = {});

/// What such a call would do, as text: as explain(), with the programs' derivatives, and for each captured
/// tensor along what its gradient is summed, or why it is 0.
FOVEA_API std::string explain_backward(const TensorView& query, const TensorView& key,
                                       const TensorView& value, const BackwardInputs& saved,
                                       const FlexGradients& gradients,
                                       const FlexOptions& options = {});

/// The dense float64 reference of the same gradients: slow, independent of every kernel. It computes out
/// and lse itself and reads of `saved` only dout and dlse.
FOVEA_API void reference_backward(const TensorView& query, const TensorView& key,
                                  const TensorView& value, const BackwardInputs& saved,
                                  const FlexGradients& gradients, const FlexOptions& options = {});

}  // namespace fovea
