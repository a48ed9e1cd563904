// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include <fovea/dtype.h>

/// The code of the tile machine as plain data: what lower() leaves and the per-ISA machine reads.
/// No standard templates here, because kernel sources include it: an inline function compiled there
/// with wide instructions must never be the copy that the linker keeps for the whole program.
///
/// Lanes are 32 bits: f32, i32, or bool as 0 / -1.
namespace fovea::cpu {

enum class TileOp : uint8_t {
#define FOVEA_TILE_OP(name, operands, text) name,
#include "cpu/attention/tile_ops.def"
#undef FOVEA_TILE_OP
};

/// Where a value lies. What is below `tile` in the shape classes lies there for a head, a block of
/// rows or a tile, and the inner loop only reads it.
enum class TilePlace : uint8_t {
  none,
  scalar,         // one value, repeated over a whole vector
  row,            // one lane a row, contiguous: inside the row phase
  row_broadcast,  // the same, each repeated over a whole vector: inside the tile phase
  column,         // one lane a column
  diagonal,       // one lane for each q - kv, descending; row i of a tile reads a contiguous slice
  temp,           // a chunk of a few rows
  score,          // the caller's tile of scores
  saved,          // a whole tile, kept from the forward part for the backward part
  dout,           // the caller's tile of gradients: in the backward part
};
inline constexpr int kTilePlaces = 10;

struct TileOperand {
  TilePlace place = TilePlace::none;
  uint16_t slot = 0;
};

inline constexpr int kMaxTileOperands = 5;

struct TileInstruction {
  TileOp op = TileOp::copy;
  TileOperand dest;
  TileOperand args[kMaxTileOperands];
  // gather: its capture, and TileCode::indices[first_index, first_index + index_count). Likewise a sum
  // or scatter, with the number of the contribution.
  uint16_t capture = 0;
  uint16_t index_count = 0;
  uint32_t first_index = 0;
};

/// An index of a gather. `consecutive`: each lane is the one before plus 1, so that a stride of 1
/// makes the gather a plain load.
struct TileIndex {
  TileOperand operand;
  bool consecutive = false;
};

/// The phases, in the order in which they run: a phase reads what earlier ones left.
enum class TilePhase : uint8_t { scalar, row, column, diagonal, tile, backward };
inline constexpr int kTilePhases = 6;

/// Instructions [begin, end) of a phase; those from `mask` on are needed by the mask alone.
struct TileRange {
  uint32_t begin = 0, mask = 0, end = 0;
};

/// A scalar that is known before any instruction runs.
struct TileScalar {
  enum class Source : uint8_t { b, h, param, bits };
  Source source = Source::bits;
  uint16_t slot = 0;
  uint32_t value = 0;  // param: its number; bits: the 32 bits themselves
};

struct TileCode {
  const TileInstruction* instructions = nullptr;
  const TileIndex* indices = nullptr;
  const TileScalar* scalars = nullptr;
  const uint16_t* broadcast_rows =
      nullptr;  // row slots that the tile phase reads, by broadcast slot
  TileRange phases[kTilePhases];
  int32_t scalar_count = 0;
  int32_t scalar_slots = 0, row_slots = 0, row_broadcast_slots = 0, column_slots = 0;
  int32_t diagonal_slots = 0, temp_slots = 0, saved_slots = 0;
  int32_t contributions = 0;
  int32_t q_row = -1, kv_column = -1, q_diagonal = -1;  // slots of the indices themselves, or -1
  // Of the tile phase and of the backward phase; 0: the whole tile.
  int32_t chunk_elements = 0, backward_chunk_elements = 0;
};

/// A captured tensor of one call. Strides count elements.
struct TileCapture {
  static constexpr int kMaxRank = 16;
  const void* data = nullptr;
  DType dtype = DType::f32;
  int32_t rank = 0;
  int64_t sizes[kMaxRank] = {};
  int64_t strides[kMaxRank] = {};
};

/// Runs a whole tile in another way: exact 64-bit integers, slow. Called from any thread.
using SlowTile = void (*)(const void* context, bool apply_mask, int64_t b, int64_t h, int64_t q0,
                          int64_t rows, int64_t kv0, int64_t cols, float* scores, int64_t ld);

/// Where one contribution of a joint program goes (TileProgram::contributions() has its class). Every
/// addition is `+=`: the caller clears the memory, and whoever adds to the same memory does so in a
/// fixed order.
///
/// scalar, row, column, diagonal: sums. Of the element (q, kv) the sum at position 0, q, kv or kv - q,
/// in data[position - first]. tile, gathered: the whole gradient tensor, or a private copy of it;
/// `first` is not looked at. An index outside the sizes is skipped.
struct TileGradient {
  float* data = nullptr;  // nullptr: not wanted, skipped
  int64_t first = 0;
  int64_t sizes[TileCapture::kMaxRank] = {};
  int64_t strides[TileCapture::kMaxRank] = {};  // in elements
};

/// The same for the backward part. `scores` are the raw ones, rows of `pitch` floats; nullptr if the
/// derivative reads none.
using SlowBackward = void (*)(const void* context, int64_t b, int64_t h, int64_t q0, int64_t rows,
                              int64_t kv0, int64_t cols, const float* scores, int64_t pitch,
                              float* dout, int64_t ld, const TileGradient* gradients);

/// What one call runs on.
struct TileArguments {
  const uint32_t* params = nullptr;  // the bits of an f32 or i32, or 0 / -1
  const TileCapture* captures = nullptr;
  SlowTile slow = nullptr;  // if set, these run instead of the code
  SlowBackward slow_backward = nullptr;
  const void* slow_context = nullptr;
};

class TileProgram;  // tile_program.h
class TileBinding;
const TileCode& code_of(const TileProgram& program) noexcept;
const TileArguments& arguments_of(const TileBinding& binding) noexcept;

}  // namespace fovea::cpu
