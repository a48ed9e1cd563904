// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/kernels.h"
#include "cpu/attention/tile_code.h"

/// What the per-ISA kernels of the backward pass are given: plain structs, and a table of functions for each
/// ISA. Kernel sources include this, so it holds no code.
namespace fovea::cpu {

/// A gradient (B, H, L, E) of f32, bf16 or f16 to be written; data is nullptr if it is not wanted.
struct Gradient4 {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t batch = 0, head = 0, row = 0, column = 0;
};

/// One number a row (B, H, L), f32 or f64.
struct RowInput {
  const void* data = nullptr;
  bool wide = false;  // f64
  int64_t batch = 0, head = 0, row = 0;
};

/// The lse of a row in base 2: 2^-lse = 2^-whole * factor. `whole` is a whole number within +-kMostWhole, or lse
/// itself beyond; -inf: the row sees nothing.
struct LseRow {
  float whole, factor;
};
constexpr float kMostWhole = 1e6f;

/// What every task of one backward call shares.
struct BackwardCall {
  Tensor4 query, key, value, out, dout;
  RowInput lse, dlse;  // dlse may have no data: 0
  Gradient4 dquery, dkey, dvalue;
  // Row numbers: of the rows of all query heads, over the batch of the query tensor.
  int64_t q_heads = 0, batch_rows = 0, head_rows = 0;  // from batch to batch, from head to head
  /// Where chunks add up the gradient of queries if it cannot hold the sums itself: query_row floats a
  /// row, or nullptr.
  float* query_sums = nullptr;
  int64_t query_row = 0;
  int64_t head_dim = 0, value_dim = 0;
  float scale = 1;
  int64_t key_tile = 0, row_tile = 0;  // at most, of a tile
  // Of each row: what prepare_rows leaves for the tiles.
  LseRow* row_lse = nullptr;
  float* row_delta = nullptr;  // sum(weight * d loss / d weight), which is sum(dout * out), - dlse
  bool delta_from_out = true;  // if not: -dlse alone, and a pass adds the rest
  // For kFiniteChunk row numbers: some element is inf or NaN.
  uint8_t* query_not_finite = nullptr;
  uint8_t* dout_not_finite = nullptr;
  // Whether tiles read these where they are. If not, rows are copied.
  bool query_in_place = false, dout_in_place = false;
  const TileProgram* program = nullptr;  // or nullptr: nothing to run, and no mask
  const TileBinding* binding = nullptr;
  bool has_score_mod = false;
  const TileProgram* weight_program = nullptr;  // or nullptr: weights as the softmax gives them
  const TileBinding* weight_binding = nullptr;
  bool captures_wanted = false;  // the programs add to gradients of captured tensors
  /// The first of two passes: adds to BackwardWalk::deltas what dout * out does not give, and nothing else.
  bool delta_pass = false;
};

/// Rows [first, last) by number; `first` is a multiple of kFiniteChunk.
struct RowRange {
  int64_t first = 0, last = 0;
};

/// Keys [kv0, kv0 + keys) of a kv head. Positions count from the sequence's first, kv_first of the tensor;
/// likewise those of queries below.
struct BackwardKeys {
  int64_t b = 0, kv_head = 0, kv_first = 0, kv0 = 0, keys = 0;
};

/// The gradient of one head's queries while a chunk of keys is walked. A unit of rows holds nothing
/// before a tile touches it.
struct QuerySums {
  float* data = nullptr;  // row 0
  int64_t row = 0;        // floats from row to row
  uint8_t* touched = nullptr;
  int64_t unit = 0;  // rows
};

/// A rectangle: rows [q_begin, q_end) of a head and keys [kv_begin, kv_end) of a tile, counted from its first.
struct BackwardStrip {
  int64_t q_begin = 0, q_end = 0, kv_begin = 0, kv_end = 0;
  bool masked = false;  // the mask is to be applied
};

/// What meets between one query head and a tile of keys.
struct BackwardWalk {
  int64_t b = 0, h = 0, q_first = 0, q_len = 0;
  const BackwardStrip* strips = nullptr;
  int64_t count = 0;
  QuerySums queries;  // without data: not wanted
  // By contribution of program and weight_program.
  const TileGradient *score_gradients = nullptr, *weight_gradients = nullptr;
  float* deltas = nullptr;  // of the delta pass: sum(weight * d loss / d weight) of row 0, 1, ...
};

/// What one chunk of keys gives to the gradient of a head's queries.
struct QueryPart {
  int64_t b = 0, h = 0, q_first = 0, q_len = 0;
  QuerySums from;
  bool first = false;     // of the chunks: overwrites, and clears what is not touched; else adds
  bool in_place = false;  // of the first: `from` is where it would go
  bool last = false;      // of the chunks: query_sums are complete
};

struct BackwardKernels {
  int lanes = 0;
  size_t (*scratch)(const BackwardCall& call) = nullptr;  // bytes a worker, multiple of 64
  void (*prepare_rows)(const BackwardCall& call, const RowRange& rows) = nullptr;
  /// Once a task, before the others; no tile of it has more keys.
  void (*begin)(const BackwardCall& call, int64_t keys, void* scratch) = nullptr;
  /// Packs a tile of keys, and then walks rows with it.
  void (*begin_keys)(const BackwardCall& call, const BackwardKeys& keys, void* scratch) = nullptr;
  void (*walk)(const BackwardCall& call, const BackwardKeys& keys, const BackwardWalk& walk,
               void* scratch) = nullptr;
  /// Stores the gradients of keys and values, summed since the last store, and begins new sums.
  void (*store_keys)(const BackwardCall& call, const BackwardKeys& keys, void* scratch) = nullptr;
  void (*add_queries)(const BackwardCall& call, const QueryPart& part) = nullptr;
};

/// The kernels for an ISA that is built in; InternalError for one that is not.
const BackwardKernels& backward_kernels(Isa isa);

}  // namespace fovea::cpu
