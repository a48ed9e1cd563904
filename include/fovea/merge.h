// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>

#include <fovea/executor.h>
#include <fovea/export.h>
#include <fovea/tensor.h>

/// Attention over keys that are held in parts: by several calls, caches or machines.
namespace fovea {

/// What attention over some of the keys gave.
struct PartialAttention {
  TensorView out;  ///< (B, Hq, Lq, Ev) f64, f32, bf16 or f16
  TensorView lse;  ///< (B, Hq, Lq) f32 or f64: natural log of the sum of exp(score)
};

struct MergeOptions {
  std::optional<TensorView> lse = std::nullopt;  ///< output (B, Hq, Lq) f32 or f64: of all keys
  Executor* executor = nullptr;                  ///< nullptr: default_executor()
};

/// Attention over all keys from attention over disjoint sets of them:
///
///   lse = log sum_i exp(lse_i),  out = sum_i exp(lse_i - lse) out_i
///
///   parts: one or more, in any mix of dtypes, any strides (0 too); out (B, Hq, Lq, Ev) f64, f32, bf16 or
///   f16. Sums are in f64, in the order of the parts; each output is rounded once.
/// A part without keys for a row has lse -inf there: its out is not read. A row without keys in any part
/// has out 0 and lse -inf. NaN and +inf in a part's lse give NaN. out and lse may be those of a part itself
/// (the same memory and strides), to add up parts as they come.
/// Sinks belong to no part: leave them out of the calls, and give them as one more part, whose lse is the
/// sink and whose out is 0.
/// InvalidArgument for a broken rule.
/// Dao et al., "Flash-Decoding for long-context inference", 2023.
FOVEA_API void merge_attention(std::span<const PartialAttention> parts, const TensorView& out,
                               const MergeOptions& options = {});

}  // namespace fovea
