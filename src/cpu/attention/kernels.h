// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <fovea/block_mask.h>
#include <fovea/dtype.h>

/// What the per-ISA attention kernels are given: plain structs, and a table of functions for each ISA.
/// Kernel sources include this, so it holds no code.
namespace fovea::cpu {

class TileProgram;
class TileBinding;
enum class Isa : uint8_t;

/// An input (B, H, L, E) of f32, bf16 or f16. Strides count elements and may have any sign.
struct Tensor4 {
  const void* data = nullptr;
  DType dtype = DType::f32;
  int64_t batch = 0, head = 0, row = 0, column = 0;
};

/// An output of one number a row, (B, Hq, Lq), or none.
struct RowOutput {
  float* data = nullptr;
  int64_t batch = 0, head = 0, row = 0;
};

/// What every tile of one forward call shares.
struct ForwardCall {
  Tensor4 query;
  bool pairs = false;  // queries, keys, weights and values are multiplied as pairs of bf16
  void* out = nullptr;
  DType out_dtype = DType::f32;
  int64_t out_batch = 0, out_head = 0, out_row = 0, out_column = 0;
  RowOutput lse, max_scores;
  int64_t head_dim = 0, value_dim = 0;
  float scale = 1;
  int64_t max_rows = 0;        // of a tile
  int64_t key_step = 0;        // keys of a tile at most: with the mask, all that results depend on
  bool copies_values = false;  // a step copies values that are read in place to panels
  bool has_mask = false;
  int64_t mask_block = 0;                // keys of a block of the mask
  const TileProgram* program = nullptr;  // or nullptr: nothing to run, and no mask
  const TileBinding* binding = nullptr;
  bool has_score_mod = false;
  const TileProgram* weight_program = nullptr;  // or nullptr: weights as the softmax gives them
  const TileBinding* weight_binding = nullptr;
  bool two_passes = false;  // weight_program must see weights that add up to 1
};

/// Keys and values of one (batch, kv head) as the kernels read them: words of f32, or pairs of bf16.
struct PackedHead {
  const void* keys = nullptr;  // panels of block_columns keys, each [words of a row][block_columns]
  const void* values = nullptr;
  int64_t value_row = 0;                // words from key to key, or from two keys to the next two
  int64_t value_panel = 0;              // words from column panel to column panel
  const uint8_t* not_finite = nullptr;  // one for kFiniteChunk keys: some value is inf or NaN
  const float* key_norms = nullptr;     // one for kFiniteChunk keys: the largest Euclidean norm
};
inline constexpr int64_t kFiniteChunk = 64;

/// Rows [q0, q0 + rows) of one query head against the keys of its sequence. Positions count from the
/// sequence's first; in the tensors that is row q_first.
struct ForwardTile {
  int64_t b = 0, h = 0, q0 = 0, rows = 0;
  int64_t q_first = 0, kv_len = 0;
  float sink = -__builtin_inff();  // a score, in base 2, that joins every row's softmax
  PackedHead head;
  const BlockRun* full = nullptr;  // with a mask: the blocks to walk
  const BlockRun* partial = nullptr;
  int64_t full_runs = 0, partial_runs = 0;
};

/// The pages that hold the keys of one sequence (of which `data` is the line of the table).
struct PageTable {
  const void* data = nullptr;  // i32 or i64; nullptr: no pages
  bool wide = false;           // i64
  int64_t stride = 0;          // entries from page to page in the table
  int64_t size = 0;            // keys of a page
  int64_t page = 0;            // elements from page to page in the tensor
};

/// Keys or values of one head, by position.
struct HeadRows {
  const void* from = nullptr;  // the first, or where page 0 has them
  DType dtype = DType::f32;
  int64_t row = 0;  // elements from row to row, within a page
  PageTable pages;
};

/// Keys [first, last) of a matrix of `length` rows and `width` columns. `first` is a multiple of
/// kPackStep.
struct PackJob {
  HeadRows rows;
  int64_t column = 0;  // elements from column to column
  int64_t first = 0, last = 0, length = 0, width = 0;
  bool pairs = false;             // of bf16: keys by columns, values by keys; else widened to f32
  void* to = nullptr;             // values: nullptr to look for non-finite ones only
  uint8_t* not_finite = nullptr;  // values: first entry of the whole head
  float* norms = nullptr;         // keys: the same, or nullptr
};

/// Keys of a piece. With the mask, all that results of a decode call depend on.
inline constexpr int64_t kDecodePiece = 1024;
/// Rows of a key head (queries times the heads that share it) at most.
inline constexpr int64_t kMaxDecodeRows = 16;

/// What every piece of a call with few rows a key head shares: decode.h.
struct DecodeCall {
  ForwardCall call;
  int64_t rows = 0;  // of a key head at most
  int64_t partial_row() const { return kHeader + (call.value_dim + 15) / 16 * 16; }
  int64_t mask_columns() const { return call.has_mask ? kDecodePiece / call.mask_block + 2 : 1; }

  // A partial result, a row: its reference, the sum of its weights, its largest score; from kHeader on its
  // values.
  static constexpr int64_t kHeader = 16;
};

/// Rows of a query head that see the same blocks of the mask.
struct DecodeRows {
  int64_t h = 0, q0 = 0, rows = 0;
  const BlockRun* full = nullptr;  // with a mask
  const BlockRun* partial = nullptr;
  int64_t full_runs = 0, partial_runs = 0;
};

/// Keys [first, last) for all rows of a key head: by query head, then by query.
struct DecodePiece {
  int64_t b = 0, q_first = 0;
  HeadRows keys, values;
  int64_t first = 0, last = 0;
  DecodeRows sets[kMaxDecodeRows];
  int64_t set_count = 0;
  float* partial = nullptr;  // a row: DecodeCall::partial_row() floats
};

/// A row whose pieces are complete.
struct DecodeMerge {
  int64_t b = 0, h = 0, row = 0;
  float sink = -__builtin_inff();  // as ForwardTile::sink
  const float* partial = nullptr;
  int64_t pieces = 0, partial_piece = 0;  // floats from piece to piece
};

struct AttentionKernels {
  int lanes = 0, block_rows = 0, block_columns = 0;  // block_columns: also the width of a panel
  bool pairs = false;  // multiplying bf16 in pairs is faster than widening it
  void (*pack_keys)(const PackJob& job) = nullptr;
  void (*pack_values)(const PackJob& job) = nullptr;
  size_t (*forward_scratch)(const ForwardCall& call) = nullptr;  // bytes a worker, multiple of 64
  void (*forward)(const ForwardCall& call, const ForwardTile& tile, void* scratch) = nullptr;
  size_t (*decode_scratch)(const DecodeCall& call) = nullptr;  // likewise
  void (*decode)(const DecodeCall& call, const DecodePiece& piece, void* scratch) = nullptr;
  void (*decode_merge)(const DecodeCall& call, const DecodeMerge& merge, void* scratch) = nullptr;
};

/// Keys of a pack job begin at multiples of it, whatever the ISA.
inline constexpr int64_t kPackStep = 256;

/// The kernels for an ISA that is built in; InternalError for one that is not.
const AttentionKernels& attention_kernels(Isa isa);

}  // namespace fovea::cpu
