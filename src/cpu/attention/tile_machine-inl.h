// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/tile_code.h"
#include "cpu/attention/tile_exec-inl.h"
#include "cpu/attention/tile_gather-inl.h"
#include "cpu/simd.h"

/// The tile machine of one ISA: runs a TileProgram over tiles of scores. One a worker; it allocates
/// nothing. What depends on the head alone is computed in begin_head, on the row in begin_rows, on
/// the column or on q - kv once a tile, and only the rest for every element, an instruction at a
/// time over chunks of a few rows that stay in the first-level cache.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

class TileMachine {
 public:
  /// Bytes of scratch for tiles of at most max_rows x max_cols.
  static size_t scratch_bytes(const TileProgram& program, int64_t max_rows, int64_t max_cols) {
    return static_cast<size_t>(Layout(code_of(program), max_rows, max_cols).end) * sizeof(float);
  }

  /// `scratch` is aligned to 64 bytes and belongs to the machine while it lives, as do program and
  /// binding.
  TileMachine(const TileProgram& program, const TileBinding& binding, void* scratch,
              int64_t max_rows, int64_t max_cols)
      : code_(code_of(program)),
        arguments_(arguments_of(binding)),
        layout_(code_, max_rows, max_cols),
        memory_(static_cast<float*>(scratch)),
        max_rows_(max_rows) {
    place(TilePlace::scalar) = {memory_ + layout_.scalar, kLanes, 0, 0};
    place(TilePlace::row) = {memory_ + layout_.row, layout_.row_length, 0, kLanes};
    place(TilePlace::row_broadcast) = {memory_ + layout_.row_broadcast, max_rows * kLanes, kLanes,
                                       0};
    place(TilePlace::column) = {memory_ + layout_.column, layout_.column_length, 0, kLanes};
    place(TilePlace::diagonal) = {memory_ + layout_.diagonal, layout_.diagonal_length, 0, kLanes};
    place(TilePlace::temp) = {memory_ + layout_.temp, layout_.temp_length, 0, kLanes};
  }

  void begin_head(int64_t b, int64_t h) {
    b_ = b;
    h_ = h;
    if (arguments_.slow != nullptr) return;
    for (int32_t i = 0; i < code_.scalar_count; ++i) set_scalar(code_.scalars[i]);
    run_phase(TilePhase::scalar, kLanes, true);
  }

  /// Rows q0 ... q0 + rows - 1; after begin_head.
  void begin_rows(int64_t q0, int64_t rows) {
    q0_ = q0;
    rows_ = rows;
    if (arguments_.slow != nullptr) return;
    if (code_.q_row >= 0) count_up(slot(TilePlace::row, code_.q_row), q0, rows);
    run_phase(TilePhase::row, rows, true);
    for (int32_t k = 0; k < code_.row_broadcast_slots; ++k) {
      const float* from = slot(TilePlace::row, code_.broadcast_rows[k]);
      float* to = slot(TilePlace::row_broadcast, k);
      for (int64_t i = 0; i < rows; ++i) store(to + i * kLanes, broadcast(from[i]));
    }
  }

  /// Scores of the rows against columns kv0 ... kv0 + cols - 1, row-major, in place: the modified
  /// score, or -inf where the mask is false. Nothing beyond the columns is touched. Without
  /// `apply_mask` the mask counts as true everywhere (a full block).
  void run(int64_t kv0, int64_t cols, float* scores, int64_t ld, bool apply_mask = true) {
    if (rows_ <= 0 || cols <= 0) return;
    if (arguments_.slow != nullptr) {
      arguments_.slow(arguments_.slow_context, apply_mask, b_, h_, q0_, rows_, kv0, cols, scores,
                      ld);
      return;
    }
    const TileRange& tile = range(TilePhase::tile);
    if (tile.begin == (apply_mask ? tile.end : tile.mask)) return;
    run_columns(kv0, cols, apply_mask);
    run_diagonals(kv0, cols, apply_mask);
    if (cols % kLanes == 0) {
      run_in_place(cols, scores, ld, apply_mask);
    } else {
      run_staged(cols, scores, ld, apply_mask);
    }
  }

 private:
  /// Where the slots of a place lie; the strides are those of TileView.
  struct Place {
    float* base = nullptr;
    int64_t slot = 0, row = 0, step = 0;
  };

  /// Offsets into the scratch memory, in floats; every slot begins at a whole vector.
  struct Layout {
    int64_t row_length, column_length, diagonal_length, temp_length;
    int64_t scalar, row, row_broadcast, column, diagonal, temp, staging, end;

    Layout(const TileCode& code, int64_t max_rows, int64_t max_cols) {
      row_length = whole_vectors(max_rows);
      column_length = whole_vectors(max_cols);
      diagonal_length = whole_vectors(max_rows + max_cols) + kLanes;
      temp_length = chunk_of(code) > column_length ? whole_vectors(chunk_of(code)) : column_length;
      scalar = 0;
      row = scalar + code.scalar_slots * static_cast<int64_t>(kLanes);
      row_broadcast = row + code.row_slots * row_length;
      column = row_broadcast + code.row_broadcast_slots * max_rows * kLanes;
      diagonal = column + code.column_slots * column_length;
      temp = diagonal + code.diagonal_slots * diagonal_length;
      staging = temp + code.temp_slots * temp_length;
      end = staging + temp_length;
    }
  };

  static constexpr int64_t kDefaultChunk = 1024;

  static int64_t whole_vectors(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }
  static int64_t chunk_of(const TileCode& code) {
    return code.chunk_elements > 0 ? code.chunk_elements : kDefaultChunk;
  }

  const TileRange& range(TilePhase phase) const { return code_.phases[static_cast<int>(phase)]; }
  Place& place(TilePlace p) { return places_[static_cast<int>(p)]; }
  float* slot(TilePlace p, int64_t k) { return place(p).base + k * place(p).slot; }

  void set_scalar(const TileScalar& scalar) {
    int32_t bits = 0;
    switch (scalar.source) {
      case TileScalar::Source::b: bits = static_cast<int32_t>(b_); break;
      case TileScalar::Source::h: bits = static_cast<int32_t>(h_); break;
      case TileScalar::Source::param:
        bits = static_cast<int32_t>(arguments_.params[scalar.value]);
        break;
      case TileScalar::Source::bits: bits = static_cast<int32_t>(scalar.value); break;
    }
    store_as(slot(TilePlace::scalar, scalar.slot), broadcast(bits));
  }

  static void count_up(float* to, int64_t first, int64_t n) {
    for (int64_t j = 0; j < n; j += kLanes) {
      store_as(to + j, iota() + broadcast(static_cast<int32_t>(first + j)));
    }
  }

  void run_columns(int64_t kv0, int64_t cols, bool apply_mask) {
    if (code_.kv_column >= 0) count_up(slot(TilePlace::column, code_.kv_column), kv0, cols);
    run_phase(TilePhase::column, cols, apply_mask);
  }

  // Entry e holds q - kv = q0 - kv0 + max_rows - 1 - e, so that row i begins at e = max_rows - 1 -
  // i and walks forward with kv. With fewer rows than max_rows the first entries are not needed.
  void run_diagonals(int64_t kv0, int64_t cols, bool apply_mask) {
    Place& diagonal = place(TilePlace::diagonal);
    diagonal.base = memory_ + layout_.diagonal + (max_rows_ - rows_);
    diagonal.row = 0;
    const int64_t n = rows_ + cols - 1;
    if (code_.q_diagonal >= 0) {
      float* d = slot(TilePlace::diagonal, code_.q_diagonal);
      const int64_t first = q0_ - kv0 + rows_ - 1;
      for (int64_t e = 0; e < n; e += kLanes) {
        store_as(d + e, broadcast(static_cast<int32_t>(first - e)) - iota());
      }
    }
    run_phase(TilePhase::diagonal, n, apply_mask);
    diagonal.base = memory_ + layout_.diagonal + (max_rows_ - 1);
    diagonal.row = -1;
  }

  void run_in_place(int64_t cols, float* scores, int64_t ld, bool apply_mask) {
    const int64_t chunk = code_.chunk_elements > 0 ? chunk_rows(code_.chunk_elements, cols) : rows_;
    place(TilePlace::temp).row = cols;
    for (int64_t i = 0; i < rows_; i += chunk) {
      place(TilePlace::score) = {scores + i * ld, 0, ld, kLanes};
      run_chunk(i, i + chunk < rows_ ? chunk : rows_ - i, cols, apply_mask);
    }
  }

  // The last columns do not fill a vector: the scores go through memory of whole vectors.
  void run_staged(int64_t cols, float* scores, int64_t ld, bool apply_mask) {
    const int64_t pitch = whole_vectors(cols);
    const int64_t chunk = chunk_rows(chunk_of(code_), pitch);
    float* staging = memory_ + layout_.staging;
    place(TilePlace::temp).row = pitch;
    place(TilePlace::score) = {staging, 0, pitch, kLanes};
    for (int64_t i = 0; i < rows_; i += chunk) {
      const int64_t rows = i + chunk < rows_ ? chunk : rows_ - i;
      for (int64_t r = 0; r < rows; ++r) {
        copy_columns(staging + r * pitch, scores + (i + r) * ld, cols);
      }
      run_chunk(i, rows, pitch, apply_mask);
      for (int64_t r = 0; r < rows; ++r) {
        copy_columns(scores + (i + r) * ld, staging + r * pitch, cols);
      }
    }
  }

  static int64_t chunk_rows(int64_t elements, int64_t pitch) {
    return elements > pitch ? elements / pitch : 1;
  }

  static void copy_columns(float* to, const float* from, int64_t n) {
    memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
  }

  // A hoisted phase: one row of n lanes.
  void run_phase(TilePhase phase, int64_t n, bool apply_mask) {
    run_range(range(phase), 0, 1, n, apply_mask);
  }

  void run_chunk(int64_t first_row, int64_t rows, int64_t n, bool apply_mask) {
    run_range(range(TilePhase::tile), first_row, rows, n, apply_mask);
  }

  void run_range(const TileRange& range, int64_t first_row, int64_t rows, int64_t n,
                 bool apply_mask) {
    const uint32_t end = apply_mask ? range.end : range.mask;
    for (uint32_t k = range.begin; k < end; ++k) {
      const TileInstruction& instruction = code_.instructions[k];
      if (instruction.op == TileOp::gather) {
        gather(instruction, first_row, rows, n);
        continue;
      }
      TileJob job;
      job.rows = rows;
      job.n = n;
      job.dest = view(instruction.dest, first_row);
      for (int i = 0; i < kMaxTileOperands; ++i) {
        if (instruction.args[i].place == TilePlace::none) break;
        job.args[i] = view(instruction.args[i], first_row);
      }
      execute(instruction.op, job);
    }
  }

  void gather(const TileInstruction& instruction, int64_t first_row, int64_t rows, int64_t n) {
    const TileCapture& capture = arguments_.captures[instruction.capture];
    GatherJob job;
    job.data = capture.data;
    job.rows = rows;
    job.n = n;
    job.dest = view(instruction.dest, first_row);
    job.fixed_count = job.varying_count = 0;
    for (uint32_t k = 0; k < instruction.index_count; ++k) {
      const TileIndex& index = code_.indices[instruction.first_index + k];
      const TileView lanes = view(index.operand, first_row);
      GatherIndex& place =
          lanes.step == 0 ? job.fixed[job.fixed_count++] : job.varying[job.varying_count++];
      place = {lanes, capture.sizes[k], capture.strides[k], index.consecutive};
    }
    run_gather(capture.dtype, job);
  }

  // Temporaries and the score hold the chunk alone; what was hoisted holds all rows.
  TileView view(TileOperand operand, int64_t first_row) const {
    const Place& p = places_[static_cast<int>(operand.place)];
    const bool of_chunk = operand.place == TilePlace::temp || operand.place == TilePlace::score;
    float* base = p.base + operand.slot * p.slot + (of_chunk ? 0 : first_row * p.row);
    return {base, p.row, p.step};
  }

  const TileCode& code_;
  const TileArguments& arguments_;
  Layout layout_;
  float* memory_;
  int64_t max_rows_;
  Place places_[kTilePlaces];
  int64_t b_ = 0, h_ = 0, q0_ = 0, rows_ = 0;
};

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
