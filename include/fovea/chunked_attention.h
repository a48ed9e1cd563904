// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <fovea/attention.h>
#include <fovea/attention_backward.h>
#include <fovea/executor.h>
#include <fovea/export.h>
#include <fovea/tensor.h>

/// Attention in constant memory with tensors for bias and mask, in place of programs: the interface of the
/// chunked attention packages, over the kernels of flex_attention.
namespace fovea {

/// The order of dimensions of query, key, value and out.
enum class Layout : uint8_t {
  bhne,  ///< (batch, heads, length, head_dim)
  bnhe,  ///< (batch, length, heads, head_dim)
};

struct ChunkedOptions {
  Layout layout = Layout::bhne;
  /// Added to the scaled score. (B, Hq, Lq, Lk), each of them or 1, in either layout; any floating
  /// dtype and any strides.
  std::optional<TensorView> bias = std::nullopt;
  /// True where a query may attend to a key. bool; (B, Hq, Lq, Lk), each of them or 1, or (B, Lk) for
  /// padded keys; any strides. It is read once to find the blocks that it leaves out.
  std::optional<TensorView> mask = std::nullopt;
  Causal causal = Causal::none;  ///< besides the mask
  /// Of the weights, after the softmax: each becomes 0 with this probability, else is divided by
  /// 1 - dropout. With seed and offset, i64 of one element each: <fovea/dropout.h>.
  double dropout = 0;
  std::optional<TensorView> seed = std::nullopt;
  std::optional<TensorView> offset = std::nullopt;
  std::optional<double> scale = std::nullopt;  ///< default 1/sqrt(head_dim)
  std::optional<TensorView> lse = std::
      nullopt;  ///< output (B, Hq, Lq) f32 or f64, in either layout: natural log of the sum of exp(score)
  /// At least 1. The most queries and keys whose scores are held at a time: the packages allocate as
  /// much, these kernels less (128 x 256 a thread, whatever is said here). No result depends on it.
  int64_t query_chunk = 1024;
  int64_t key_chunk = 4096;
  Workspace workspace = {};      ///< empty: the call allocates what chunked_workspace_bytes says
  Executor* executor = nullptr;  ///< nullptr: default_executor()
  std::string backend = {};      ///< empty: the first that can; else a name of backends()
};

/// out = dropout(softmax(q k^T * scale + bias, where mask and causal allow)) v, without a matrix of scores.
///
///   query (B, Hq, Lq, E), key (B, Hkv, Lk, E), value (B, Hkv, Lk, Ev), out (B, Hq, Lq, Ev), or with
///   length before heads (Layout::bnhe); any strides, dtypes as flex_attention. Hq must be a multiple
///   of Hkv. Any length including 0, whether or not a chunk divides it. A row that may attend to nothing
///   gives out 0 and lse -inf; NaN behind a mask, in the bias too, never reaches the output.
/// InvalidArgument for a broken rule, Unsupported if no backend can (with all reasons).
/// Rabe and Staats, "Self-attention does not need O(n^2) memory", 2021.
FOVEA_API void chunked_attention(const TensorView& query, const TensorView& key,
                                 const TensorView& value, const TensorView& out,
                                 const ChunkedOptions& options = {});

/// The scratch memory that this call wants. Same errors.
FOVEA_API std::size_t chunked_workspace_bytes(const TensorView& query, const TensorView& key,
                                              const TensorView& value, const TensorView& out,
                                              const ChunkedOptions& options = {});

/// Outputs of the backward pass; an empty view is not wanted and not computed.
struct ChunkedGradients {
  TensorView query = {};  ///< the query's shape and dtype, in the layout of the call
  TensorView key = {};    ///< likewise
  TensorView value = {};  ///< likewise
  TensorView bias = {};   ///< the bias's shape, summed where its sizes are 1; f32 or f64
};

/// Gradients of chunked_attention(query, key, value, out, options) from its saved out and lse, in memory
/// that grows with the lengths, not with their product: flex_attention_backward of the same programs.
/// out and dout are in the layout of the call, lse and dlse (B, Hq, Lq). Rows that attend to nothing have
/// zero gradients. InvalidArgument for a broken rule, Unsupported if no backend can.
FOVEA_API void chunked_attention_backward(const TensorView& query, const TensorView& key,
                                          const TensorView& value, const BackwardInputs& saved,
                                          const ChunkedGradients& gradients,
                                          const ChunkedOptions& options = {});

/// The scratch memory that this call wants. Same errors.
FOVEA_API std::size_t chunked_backward_workspace_bytes(const TensorView& query,
                                                       const TensorView& key,
                                                       const TensorView& value,
                                                       const BackwardInputs& saved,
                                                       const ChunkedGradients& gradients,
                                                       const ChunkedOptions& options = {});

}  // namespace fovea
