// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fovea/block_mask.h>
#include <fovea/executor.h>
#include <fovea/export.h>
#include <fovea/program.h>
#include <fovea/tensor.h>

/// Fused attention with programs and block masks.
namespace fovea {

/// Scratch memory of one call, from the caller. Alignment 64.
struct Workspace {
  void* data = nullptr;
  std::size_t bytes = 0;
};

/// Which keys a query may see by position alone. With query position q and key position kv:
enum class Causal : uint8_t {
  none,         ///< all
  upper_left,   ///< kv <= q, as PyTorch's is_causal
  lower_right,  ///< kv <= q + (kv length - q length): the last query sees all keys, as when decoding
};

struct FlexOptions {
  Program score_mod = {};                      ///< empty: scores as they are
  Program weight_mod = {};                     ///< empty: weights as the softmax gives them
  BlockMask block_mask = {};                   ///< empty: every query attends to every key
  Causal causal = Causal::none;                ///< besides the block mask, if there is one
  std::optional<double> scale = std::nullopt;  ///< default 1/sqrt(head_dim)
  std::optional<TensorView> lse =
      std::nullopt;  ///< output (B, Hq, Lq) f32 or f64: natural log of the sum of exp(score)
  std::optional<TensorView> max_scores = std::
      nullopt;  ///< output (B, Hq, Lq) f32 or f64: largest score of a row after score_mod; -inf if none
  /// Input (Hq) floating: a score that joins the row's softmax, without a value. It counts in lse (a
  /// row that attends to nothing has it alone), not in max_scores.
  std::optional<TensorView> sinks = std::nullopt;
  /// Jagged batch: N sequences behind each other along the length of a tensor of batch 1. (N + 1) i32 or
  /// i64: where each begins; the last entry is the end. Mods see b = sequence and positions within
  /// it; a block mask has batch 1 or N and the lengths of the longest sequences (or more).
  std::optional<TensorView> cu_seqlens_q = std::nullopt;
  std::optional<TensorView> cu_seqlens_kv = std::nullopt;  ///< both or neither
  /// Paged cache: key and value are (pages, Hkv, page size, E); (B, pages of a sequence) i32 or i64: the
  /// page that holds each stretch of positions. Mods and masks see logical positions.
  std::optional<TensorView> page_table = std::nullopt;
  /// (B) i32 or i64: keys that each batch entry really has; default all. Needs no page table.
  std::optional<TensorView> kv_lens = std::nullopt;
  Workspace workspace = {};      ///< empty: the call allocates what workspace_bytes says
  Executor* executor = nullptr;  ///< nullptr: default_executor()
  std::string backend = {};      ///< empty: the first that can; else a name of backends()
};

/// out = softmax(mod(q k^T * scale)) v, fused: no score matrix is ever stored.
///
///   query (B, Hq, Lq, E), key (B, Hkv, Lk, E), value (B, Hkv, Lk, Ev), out (B, Hq, Lq, Ev); any
///   strides; f32 (the CPU backend). Hq must be a multiple of Hkv: query head h reads key head
///   h / (Hq / Hkv). Key and value may have batch 1, shared by all. Any length including 0, any
///   head_dim >= 1. A row that may attend to nothing gives out 0 and lse -inf. NaN behind a mask
///   never reaches the output.
/// InvalidArgument for a broken rule, Unsupported if no backend can (with all reasons).
/// Dao et al., "FlashAttention", 2022 (the algorithm); Dong et al., "Flex Attention", 2024 (mods).
FOVEA_API void flex_attention(const TensorView& query, const TensorView& key,
                              const TensorView& value, const TensorView& out,
                              const FlexOptions& options = {});

/// The scratch memory that this call wants. Same errors as flex_attention.
FOVEA_API std::size_t workspace_bytes(const TensorView& query, const TensorView& key,
                                      const TensorView& value, const TensorView& out,
                                      const FlexOptions& options = {});

/// Does all that may compile or build, so that the call itself only looks the plan up.
FOVEA_API void prepare(const TensorView& query, const TensorView& key, const TensorView& value,
                       const TensorView& out, const FlexOptions& options = {});

/// What a call would do, as text: shapes, programs before and after simplification, shape classes,
/// block counts, the backend with its plan, and why the others were not taken.
FOVEA_API std::string explain(const TensorView& query, const TensorView& key,
                              const TensorView& value, const TensorView& out,
                              const FlexOptions& options = {});

/// The dense float64 reference: same inputs and rules, any dtype of f64, f32, bf16, f16; slow, and
/// independent of every kernel (its own softmax, the scalar interpreter, no blocks).
FOVEA_API void reference_attention(const TensorView& query, const TensorView& key,
                                   const TensorView& value, const TensorView& out,
                                   const FlexOptions& options = {});

/// One row of it in full float64: `out` has Ev entries; returns the row's lse.
FOVEA_API double reference_row(const TensorView& query, const TensorView& key,
                               const TensorView& value, const FlexOptions& options, int64_t b,
                               int64_t h, int64_t q, std::span<double> out);

/// A backend as this machine has it.
struct BackendInfo {
  std::string name;  ///< "cpu"
  bool available = false;
  std::string detail;  ///< instruction set, threads, or why it is not available
};
FOVEA_API std::vector<BackendInfo> backends();

/// Multiply-adds per second of a plain loop on `threads` threads, as FLOP/s, with the instruction
/// set in force: the ceiling that benchmarks divide by. Takes about 0.2 s.
FOVEA_API double measure_fma_peak(int threads);

}  // namespace fovea
