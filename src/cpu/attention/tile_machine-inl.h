// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/tile_code.h"
#include "cpu/attention/tile_exec-inl.h"
#include "cpu/attention/tile_gather-inl.h"
#include "cpu/attention/tile_scatter-inl.h"
#include "cpu/attention/tile_sums-inl.h"
#include "cpu/simd.h"

/// The tile machine of one ISA: runs a TileProgram over tiles of scores, and the backward part of one
/// over their gradients (tile_program.h says how). One a worker; it allocates
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
    place(TilePlace::saved) = {memory_ + layout_.saved, layout_.saved_length, 0, kLanes};
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
    kv0_ = kv0;
    cols_ = cols;
    if (rows_ <= 0 || cols <= 0) return;
    place(TilePlace::saved).row = whole_vectors(cols);
    if (arguments_.slow != nullptr) {
      if (code_.saved_slots > 0) save_scores(scores, ld);
      arguments_.slow(arguments_.slow_context, apply_mask, b_, h_, q0_, rows_, kv0, cols, scores,
                      ld);
      return;
    }
    const TileRange& tile = range(TilePhase::tile);
    const Part part{{tile.begin, apply_mask ? tile.end : tile.mask},
                    TilePlace::score,
                    code_.chunk_elements,
                    true};
    if (part.range.begin == part.range.end && !has_backward()) return;
    run_columns(apply_mask);
    run_diagonals(apply_mask);
    if (part.range.begin != part.range.end) run_part(part, scores, ld);
  }

  /// The backward part on the tile that run() saw last: `dout`, d loss / d modified score, becomes d
  /// loss / d raw score in place, and contribution i is added to gradients[i].
  void run_backward(float* dout, int64_t ld, const TileGradient* gradients) {
    if (rows_ <= 0 || cols_ <= 0 || !has_backward()) return;
    if (arguments_.slow_backward != nullptr) {
      const float* scores = code_.saved_slots > 0 ? slot(TilePlace::saved, 0) : nullptr;
      arguments_.slow_backward(arguments_.slow_context, b_, h_, q0_, rows_, kv0_, cols_, scores,
                               place(TilePlace::saved).row, dout, ld, gradients);
      return;
    }
    gradients_ = gradients;
    for (int64_t i = 0; i < code_.contributions; ++i) store(total(i), Floats{});
    const TileRange& backward = range(TilePhase::backward);
    const TileOperand& last = code_.instructions[backward.end - 1].dest;
    run_part({{backward.begin, backward.end},
              TilePlace::dout,
              code_.backward_chunk_elements,
              last.place == TilePlace::dout},
             dout, ld);
    add_totals(backward);
  }

 private:
  /// Where the slots of a place lie; the strides are those of TileView.
  struct Place {
    float* base = nullptr;
    int64_t slot = 0, row = 0, step = 0;
  };

  struct Range {
    uint32_t begin, end;
  };

  /// What runs over the caller's tile, which lies at `tile`.
  struct Part {
    Range range;
    TilePlace tile;
    int64_t chunk_elements;  // 0: all rows at once
    bool writes;             // the tile changes
  };

  /// Offsets into the scratch memory, in floats; every slot begins at a whole vector.
  struct Layout {
    int64_t row_length, column_length, diagonal_length, temp_length;
    int64_t saved_length;
    int64_t scalar, row, row_broadcast, column, diagonal, temp, staging, saved, totals, end;

    Layout(const TileCode& code, int64_t max_rows, int64_t max_cols) {
      row_length = whole_vectors(max_rows);
      column_length = whole_vectors(max_cols);
      diagonal_length = whole_vectors(max_rows + max_cols) + kLanes;
      temp_length =
          larger(column_length, whole_vectors(larger(chunk_of(code.chunk_elements),
                                                     chunk_of(code.backward_chunk_elements))));
      saved_length = max_rows * column_length;
      scalar = 0;
      row = scalar + code.scalar_slots * static_cast<int64_t>(kLanes);
      row_broadcast = row + code.row_slots * row_length;
      column = row_broadcast + code.row_broadcast_slots * max_rows * kLanes;
      diagonal = column + code.column_slots * column_length;
      temp = diagonal + code.diagonal_slots * diagonal_length;
      staging = temp + code.temp_slots * temp_length;
      saved = staging + temp_length;
      totals = saved + code.saved_slots * saved_length;
      end = totals + code.contributions * static_cast<int64_t>(kLanes);
    }
  };

  static constexpr int64_t kDefaultChunk = 1024;

  static int64_t whole_vectors(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }
  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
  static int64_t chunk_of(int64_t elements) { return elements > 0 ? elements : kDefaultChunk; }

  bool has_backward() const {
    const TileRange& backward = range(TilePhase::backward);
    return backward.begin != backward.end;
  }
  float* total(int64_t contribution) { return memory_ + layout_.totals + contribution * kLanes; }

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

  void save_scores(const float* scores, int64_t ld) {
    for (int64_t i = 0; i < rows_; ++i) {
      copy_columns(slot(TilePlace::saved, 0) + i * place(TilePlace::saved).row, scores + i * ld,
                   cols_);
    }
  }

  void run_columns(bool apply_mask) {
    if (code_.kv_column >= 0) count_up(slot(TilePlace::column, code_.kv_column), kv0_, cols_);
    run_phase(TilePhase::column, cols_, apply_mask);
  }

  // Entry e holds q - kv = q0 - kv0 + max_rows - 1 - e, so that row i begins at e = max_rows - 1 -
  // i and walks forward with kv. With fewer rows than max_rows the first entries are not needed.
  void run_diagonals(bool apply_mask) {
    Place& diagonal = place(TilePlace::diagonal);
    diagonal.base = memory_ + layout_.diagonal + (max_rows_ - rows_);
    diagonal.row = 0;
    const int64_t n = rows_ + cols_ - 1;
    if (code_.q_diagonal >= 0) {
      float* d = slot(TilePlace::diagonal, code_.q_diagonal);
      const int64_t first = q0_ - kv0_ + rows_ - 1;
      for (int64_t e = 0; e < n; e += kLanes) {
        store_as(d + e, broadcast(static_cast<int32_t>(first - e)) - iota());
      }
    }
    run_phase(TilePhase::diagonal, n, apply_mask);
    diagonal.base = memory_ + layout_.diagonal + (max_rows_ - 1);
    diagonal.row = -1;
  }

  void run_part(const Part& part, float* tile, int64_t ld) {
    if (cols_ % kLanes == 0) {
      run_in_place(part, tile, ld);
    } else {
      run_staged(part, tile, ld);
    }
  }

  void run_in_place(const Part& part, float* tile, int64_t ld) {
    const int64_t chunk = part.chunk_elements > 0 ? chunk_rows(part.chunk_elements, cols_) : rows_;
    place(TilePlace::temp).row = cols_;
    for (int64_t i = 0; i < rows_; i += chunk) {
      place(part.tile) = {tile + i * ld, 0, ld, kLanes};
      run_range(part.range, i, smaller(chunk, rows_ - i), cols_);
    }
  }

  // The last columns do not fill a vector: the tile goes through memory of whole vectors.
  void run_staged(const Part& part, float* tile, int64_t ld) {
    const int64_t pitch = whole_vectors(cols_);
    const int64_t chunk = chunk_rows(chunk_of(part.chunk_elements), pitch);
    float* staging = memory_ + layout_.staging;
    place(TilePlace::temp).row = pitch;
    place(part.tile) = {staging, 0, pitch, kLanes};
    for (int64_t i = 0; i < rows_; i += chunk) {
      const int64_t rows = smaller(chunk, rows_ - i);
      for (int64_t r = 0; r < rows; ++r) {
        copy_columns(staging + r * pitch, tile + (i + r) * ld, cols_);
      }
      run_range(part.range, i, rows, pitch);
      for (int64_t r = 0; part.writes && r < rows; ++r) {
        copy_columns(tile + (i + r) * ld, staging + r * pitch, cols_);
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
    const TileRange& all = range(phase);
    run_range({all.begin, apply_mask ? all.end : all.mask}, 0, 1, n);
  }

  void run_range(const Range& range, int64_t first_row, int64_t rows, int64_t n) {
    for (uint32_t k = range.begin; k < range.end; ++k) {
      const TileInstruction& instruction = code_.instructions[k];
      if (instruction.op == TileOp::gather) {
        gather(instruction, first_row, rows, n);
        continue;
      }
      if (instruction.dest.place == TilePlace::none) {
        contribute(instruction, first_row, rows);
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
    GatherJob job = indexed(instruction, first_row, capture.sizes, capture.strides);
    job.data = capture.data;
    job.rows = rows;
    job.n = n;
    job.dest = view(instruction.dest, first_row);
    run_gather(capture.dtype, job);
  }

  GatherJob indexed(const TileInstruction& instruction, int64_t first_row, const int64_t* sizes,
                    const int64_t* strides) const {
    GatherJob job;
    job.fixed_count = job.varying_count = 0;
    for (uint32_t k = 0; k < instruction.index_count; ++k) {
      const TileIndex& index = code_.indices[instruction.first_index + k];
      const TileView lanes = view(index.operand, first_row);
      GatherIndex& place =
          lanes.step == 0 ? job.fixed[job.fixed_count++] : job.varying[job.varying_count++];
      place = {lanes, sizes[k], strides[k], index.consecutive};
    }
    return job;
  }

  // A sum or scatter of rows [first_row, first_row + rows).
  void contribute(const TileInstruction& instruction, int64_t first_row, int64_t rows) {
    const TileGradient& to = gradients_[instruction.capture];
    if (to.data == nullptr) return;
    SumJob sum;
    sum.rows = rows;
    sum.cols = cols_;
    sum.value = view(instruction.args[0], first_row);
    const bool product = instruction.args[1].place != TilePlace::none;
    if (product) sum.factor = view(instruction.args[1], first_row);
    const int64_t q0 = q0_ + first_row;
    if (instruction.op == TileOp::sum_scalar) {
      float* into = total(instruction.capture);
      product ? sum_all<ProductRow>(sum, into) : sum_all<PlainRow>(sum, into);
    } else if (instruction.op == TileOp::sum_rows) {
      float* into = to.data + (q0 - to.first);
      product ? sum_rows<ProductRow>(sum, into) : sum_rows<PlainRow>(sum, into);
    } else if (instruction.op == TileOp::sum_columns) {
      float* into = to.data + (kv0_ - to.first);
      product ? sum_columns<ProductRow>(sum, into) : sum_columns<PlainRow>(sum, into);
    } else if (instruction.op == TileOp::sum_diagonals) {
      sum_diagonals(sum, to.data + (kv0_ - (q0 + rows - 1) - to.first));
    } else {
      GatherJob job = indexed(instruction, first_row, to.sizes, to.strides);
      job.rows = rows;
      job.n = cols_;
      run_scatter(job, to.data, sum.value);
    }
  }

  // The scalar sums of a tile are added as one number, so that they keep their precision.
  void add_totals(const TileRange& backward) {
    for (uint32_t k = backward.begin; k < backward.end; ++k) {
      const TileInstruction& instruction = code_.instructions[k];
      if (instruction.op != TileOp::sum_scalar) continue;
      const TileGradient& to = gradients_[instruction.capture];
      if (to.data != nullptr) to.data[-to.first] += hsum(load(total(instruction.capture)));
    }
  }

  // Temporaries and the caller's tile hold the chunk alone; what was hoisted or saved holds all rows.
  TileView view(TileOperand operand, int64_t first_row) const {
    const Place& p = places_[static_cast<int>(operand.place)];
    const bool of_chunk = operand.place == TilePlace::temp || operand.place == TilePlace::score ||
                          operand.place == TilePlace::dout;
    float* base = p.base + operand.slot * p.slot + (of_chunk ? 0 : first_row * p.row);
    return {base, p.row, p.step};
  }

  const TileCode& code_;
  const TileArguments& arguments_;
  Layout layout_;
  float* memory_;
  int64_t max_rows_;
  Place places_[kTilePlaces];
  int64_t b_ = 0, h_ = 0, q0_ = 0, rows_ = 0, kv0_ = 0, cols_ = 0;
  const TileGradient* gradients_ = nullptr;
};

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
