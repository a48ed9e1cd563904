// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/backward_rows-inl.h"
#include "cpu/attention/backward_scratch-inl.h"
#include "cpu/attention/pack-inl.h"
#include "cpu/attention/weigh_backward-inl.h"

/// The backward pass of one tile of keys: for each tile of rows the weights again, the gradient of the
/// scores, and the three products that carry it to queries, keys and values. For kernel sources
/// only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

FOVEA_INLINE void clear(float* to, int64_t floats) {
  for (int64_t i = 0; i < floats; i += kLanes) store(to + i, Floats{});
}

/// As multiply<Update::add>, but leaves out the products with elements of A that are 0: 0 * inf and 0 *
/// NaN must not reach a gradient through a weight that is not there.
__attribute__((noinline)) void add_products_exactly(int64_t rows, int64_t k, int64_t vectors,
                                                    const MatrixOperands<float>& m) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t v = 0; v < vectors; ++v) {
      const float* b = m.b + v / kBlockVectors * m.b_panel + v % kBlockVectors * kLanes;
      Floats sum = {};
      for (int64_t i = 0; i < k; ++i) {
        const float a = m.a[r * m.a_row + i * m.a_k];
        if (a != 0.0f) sum = fma(broadcast(a), load(b + i * m.b_k), sum);
      }
      float* c = m.c + r * m.c_row + v * kLanes;
      store(c, load(c) + sum);
    }
  }
}

void add_products(int64_t rows, int64_t k, int64_t vectors, const MatrixOperands<float>& m,
                  bool exact) {
  if (exact) return add_products_exactly(rows, k, vectors, m);
  multiply<Update::add>(rows, k, 0, vectors, m);
}

/// A mod sees scores of scaled queries, bit for bit those of the forward pass: rounded in another way they
/// would not belong to `out`, and what the differences add to a captured gradient does not cancel.
inline float query_factor(const BackwardCall& call) {
  return call.has_score_mod ? call.scale : 1.0f;
}

class BackwardKernel {
 public:
  BackwardKernel(const BackwardCall& call, const BackwardKeys& keys, const BackwardScratch& scratch)
      : call_(call), keys_(keys), scratch_(scratch) {}

  void pack() const {
    PackJob job = pack_job(call_.key, call_.head_dim);
    job.to = scratch_.keys;
    pack_keys(job);
    job.to = call_.dquery.data ? scratch_.key_rows : nullptr;
    job.not_finite = scratch_.keys_not_finite;
    pack_values(job);
    if (job.to != nullptr) {
      scale(scratch_.key_rows, whole_panels(call_.head_dim) * keys_.keys);
    }
    if (!BackwardScratch::gradient_of_scores(call_)) return;
    job = pack_job(call_.value, call_.value_dim);
    job.to = scratch_.values;
    pack_keys(job);
  }

  void walk(const BackwardWalk& walk) {
    walk_ = &walk;
    if (call_.program == nullptr) return walk_with_weights();
    TileMachine machine = machine_of(*call_.program, *call_.binding, scratch_.machine);
    machine_ = &machine;
    walk_with_weights();
  }

 private:
  PackJob pack_job(const Tensor4& from, int64_t width) const {
    PackJob job;
    job.rows.from = row_of(from, keys_.b, keys_.kv_head, keys_.kv_first + keys_.kv0).data;
    job.rows.dtype = from.dtype;
    job.rows.row = from.row;
    job.column = from.column;
    job.last = job.length = keys_.keys;
    job.width = width;
    return job;
  }

  void scale(float* data, int64_t floats) const {
    for (int64_t i = 0; i < floats; i += kLanes) store(data + i, load(data + i) * call_.scale);
  }

  TileMachine machine_of(const TileProgram& program, const TileBinding& binding,
                         void* memory) const {
    TileMachine machine(program, binding, memory, call_.row_tile, call_.key_tile);
    machine.begin_head(walk_->b, walk_->h);
    return machine;
  }

  void walk_with_weights() {
    if (call_.weight_program == nullptr) return walk_strips();
    TileMachine machine =
        machine_of(*call_.weight_program, *call_.weight_binding, scratch_.weight_machine);
    weight_machine_ = &machine;
    walk_strips();
  }

  // In parts as equal as can be: short ones are slow.
  void walk_strips() const {
    for (int64_t i = 0; i < walk_->count; ++i) {
      const BackwardStrip& strip = walk_->strips[i];
      Tile tile{strip.q_begin, 0, strip.kv_begin, strip.kv_end - strip.kv_begin, strip.masked};
      for (; tile.q0 < strip.q_end; tile.q0 += tile.rows) {
        const int64_t left = strip.q_end - tile.q0;
        const int64_t parts = (left + call_.row_tile - 1) / call_.row_tile;
        tile.rows = (left + parts - 1) / parts;
        step(tile);
      }
    }
  }

  /// Rows [q0, q0 + rows), keys [key, key + keys) of the packed ones.
  struct Tile {
    int64_t q0, rows, key, keys;
    bool masked;
    // Products begin at whole vectors of keys.
    int64_t offset() const { return key % kLanes; }
  };

  /// Rows as an operand of products, where they are or copied.
  struct Rows {
    const float* data;
    int64_t row, column;
  };
  Rows rows_of(const Tensor4& from, const Tile& tile, bool in_place, int64_t width, float* copy,
               int64_t copy_row, float factor = 1) const {
    const void* at = row_of(from, walk_->b, walk_->h, walk_->q_first + tile.q0).data;
    if (in_place) return {static_cast<const float*>(at), from.row, from.column};
    with_elements(from.dtype, at, [&](const auto* row) {
      for (int64_t r = 0; r < tile.rows; ++r, row += from.row) {
        for (int64_t c = 0; c < width; c += kLanes) {
          store(copy + r * copy_row + c, load_columns(row, from.column, c, width) * factor);
        }
      }
    });
    return {copy, copy_row, 1};
  }

  bool any_row(const uint8_t* flags, int64_t first, int64_t rows) const {
    for (int64_t c = first / kFiniteChunk; c * kFiniteChunk < first + rows; ++c) {
      if (flags[c] != 0) return true;
    }
    return false;
  }
  bool any_key(const Tile& tile) const {
    for (int64_t c = tile.key / kFiniteChunk; c * kFiniteChunk < tile.key + tile.keys; ++c) {
      if (scratch_.keys_not_finite[c] != 0) return true;
    }
    return false;
  }

  /// What is fetched into the cache while a product is computed: the tile's rows in another matrix, if they
  /// lie together.
  struct Next {
    const float* data;
    int64_t floats;
  };
  static Next next_of(const float* data, int64_t row, int64_t column, int64_t width, int64_t rows) {
    return {data, column == 1 && row == width ? rows * width : 0};
  }

  /// scores = rows * keys^T, or the same of dout and values.
  void multiply_keys(const Tile& tile, const Rows& rows, const float* keys, int64_t width,
                     float* scores, Next next) const {
    const MatrixOperands<float> m{.a = rows.data,
                                  .a_row = rows.row,
                                  .a_k = rows.column,
                                  .b = keys,
                                  .b_k = kBlockColumns,
                                  .b_panel = width * kBlockColumns,
                                  .c = scores,
                                  .c_row = scratch_.tile_row,
                                  .then = next.data,
                                  .then_words = next.floats};
    multiply<Update::overwrite>(tile.rows, width, tile.key / kLanes,
                                whole_vectors(tile.offset() + tile.keys) / kLanes, m);
  }

  /// sums += scores^T * rows.
  void add_to_keys(const Tile& tile, const float* scores, const Rows& rows, int64_t width,
                   float* sums, bool exact, Next next) const {
    const int64_t sum_row = whole_vectors(width);
    const MatrixOperands<float> m{.a = scores,
                                  .a_row = 1,
                                  .a_k = scratch_.tile_row,
                                  .b = rows.data,
                                  .b_k = rows.row,
                                  .b_panel = kBlockColumns,
                                  .c = sums + tile.key * sum_row,
                                  .c_row = sum_row,
                                  .then = next.data,
                                  .then_words = next.floats};
    add_products(tile.keys, tile.rows, sum_row / kLanes, m, exact);
  }

  void add_to_queries(const Tile& tile, const float* gradients, bool exact) const {
    const QuerySums& to = walk_->queries;
    const int64_t vectors = whole_vectors(call_.head_dim) / kLanes;
    const MatrixOperands<float> m{.a = gradients,
                                  .a_row = scratch_.tile_row,
                                  .a_k = 1,
                                  .b = scratch_.key_rows + tile.key * kBlockColumns,
                                  .b_k = kBlockColumns,
                                  .b_panel = keys_.keys * kBlockColumns,
                                  .c = to.data + tile.q0 * to.row,
                                  .c_row = to.row,
                                  .then = nullptr,
                                  .then_words = 0};
    if (!exact && is_first(tile)) {
      multiply<Update::overwrite>(tile.rows, tile.keys, 0, vectors, m);
      return;
    }
    clear_untouched(tile);
    add_products(tile.rows, tile.keys, vectors, m, exact);
  }

  // Whether the tile is one whole unit that nothing has touched; then marks it.
  bool is_first(const Tile& tile) const {
    const QuerySums& sums = walk_->queries;
    const int64_t unit = tile.q0 / sums.unit, left = walk_->q_len - unit * sums.unit;
    if (tile.q0 != unit * sums.unit || tile.rows != (left < sums.unit ? left : sums.unit)) {
      return false;
    }
    if (sums.touched[unit] != 0) return false;
    sums.touched[unit] = 1;
    return true;
  }

  void clear_untouched(const Tile& tile) const {
    const QuerySums& sums = walk_->queries;
    for (int64_t unit = tile.q0 / sums.unit; unit * sums.unit < tile.q0 + tile.rows; ++unit) {
      if (sums.touched[unit] != 0) continue;
      sums.touched[unit] = 1;
      const int64_t first = unit * sums.unit, left = walk_->q_len - first;
      for (int64_t q = first; q < first + (left < sums.unit ? left : sums.unit); ++q) {
        clear(sums.data + q * sums.row, call_.head_dim);
      }
    }
  }

  void step(const Tile& tile) const {
    const bool of_scores = BackwardScratch::gradient_of_scores(call_);
    const int64_t first_row = row_number(call_, walk_->b, walk_->h, walk_->q_first + tile.q0);
    const Rows query = rows_of(call_.query, tile, call_.query_in_place, call_.head_dim,
                               scratch_.query_copy, scratch_.query_copy_row, query_factor(call_));
    const Rows dout = rows_of(call_.dout, tile, call_.dout_in_place, call_.value_dim,
                              scratch_.dout_copy, scratch_.dout_copy_row);
    const bool query_bad = any_row(call_.query_not_finite, first_row, tile.rows);
    const bool dout_bad = any_row(call_.dout_not_finite, first_row, tile.rows);
    const bool keys_bad = any_key(tile);
    const QuerySums& sums = walk_->queries;

    multiply_keys(tile, query, scratch_.keys, call_.head_dim, scratch_.scores,
                  next_of(sums.data + tile.q0 * sums.row, sums.row, 1, call_.head_dim, tile.rows));
    if (of_scores) {
      multiply_keys(tile, dout, scratch_.values, call_.value_dim, scratch_.gradients, {nullptr, 0});
    }
    float* scores = scratch_.scores + tile.offset();
    float* gradients = of_scores ? scratch_.gradients + tile.offset() : nullptr;
    const bool run_program = machine_ != nullptr && (tile.masked || call_.has_score_mod);
    if (run_program) {
      machine_->begin_rows(tile.q0, tile.rows);
      machine_->run(keys_.kv0 + tile.key, tile.keys, scores, scratch_.tile_row, tile.masked);
    }
    WeighJob job{.rows = tile.rows,
                 .keys = tile.keys,
                 .scores = scores,
                 .gradients = gradients,
                 .row = scratch_.tile_row,
                 .lse = call_.row_lse + first_row,
                 .delta = call_.row_delta + first_row,
                 .unit = call_.has_score_mod ? kLog2E : call_.scale * kLog2E,
                 .masked = run_program,
                 .exact = query_bad || dout_bad || keys_bad};
    const float* weights = scores;
    if (weight_machine_ == nullptr) {
      weigh(job);
    } else {
      weights = modify_weights(tile, job);
      if (call_.delta_pass) return add_deltas(job, walk_->deltas + tile.q0);
      if (gradients != nullptr) weigh_gradients(job);
    }
    if (run_program && gradients != nullptr) {
      machine_->run_backward(gradients, scratch_.tile_row, walk_->score_gradients);
    }

    if (call_.dvalue.data != nullptr) {
      add_to_keys(tile, weights, dout, call_.value_dim, scratch_.value_sums, dout_bad,
                  next_of(query.data + tile.rows * query.row, query.row, query.column,
                          call_.head_dim, tile.rows));
    }
    if (call_.dkey.data != nullptr) {
      add_to_keys(tile, gradients, query, call_.head_dim, scratch_.key_sums, query_bad,
                  next_of(dout.data + tile.rows * dout.row, dout.row, dout.column, call_.value_dim,
                          tile.rows));
    }
    if (sums.data != nullptr) add_to_queries(tile, gradients, keys_bad);
  }

  /// Scores become weights; the weights after weight_mod are given back. Gradients of those become gradients
  /// of the weights before. A weight of 0 is one that the row may not see.
  const float* modify_weights(const Tile& tile, WeighJob job) const {
    float* const gradients = job.gradients;
    job.gradients = nullptr;
    weigh(job);
    float* modified = scratch_.modified + tile.offset();
    for (int64_t r = 0; r < tile.rows; ++r) {
      memcpy(modified + r * job.row, job.scores + r * job.row,
             static_cast<size_t>(tile.keys) * sizeof(float));
    }
    weight_machine_->begin_rows(tile.q0, tile.rows);
    weight_machine_->run(keys_.kv0 + tile.key, tile.keys, modified, job.row, false);
    if (gradients != nullptr) {
      clear_masked(job, gradients);
      weight_machine_->run_backward(gradients, job.row, walk_->weight_gradients);
    }
    clear_masked(job, modified);
    return modified;
  }

  const BackwardCall& call_;
  const BackwardKeys& keys_;
  const BackwardScratch& scratch_;
  const BackwardWalk* walk_ = nullptr;
  TileMachine *machine_ = nullptr, *weight_machine_ = nullptr;
};

size_t backward_scratch(const BackwardCall& call) { return BackwardScratch(call, nullptr).bytes; }

void begin_backward(const BackwardCall& call, int64_t keys, void* memory) {
  const BackwardScratch scratch(call, memory);
  if (call.dkey.data != nullptr) clear(scratch.key_sums, keys * scratch.key_row);
  if (call.dvalue.data != nullptr) clear(scratch.value_sums, keys * scratch.value_row);
}

void begin_keys(const BackwardCall& call, const BackwardKeys& keys, void* memory) {
  const BackwardScratch scratch(call, memory);
  BackwardKernel(call, keys, scratch).pack();
}

void walk_backward(const BackwardCall& call, const BackwardKeys& keys, const BackwardWalk& walk,
                   void* memory) {
  const BackwardScratch scratch(call, memory);
  BackwardKernel(call, keys, scratch).walk(walk);
}

inline void store_sums(const Gradient4& to, const BackwardKeys& keys, int64_t width, float factor,
                       float* sums, int64_t sum_row) {
  if (to.data == nullptr) return;
  const int64_t first = keys.kv_first + keys.kv0;
  with_elements(to.dtype, row_of(to, keys.b, keys.kv_head, first).data, [&](auto* row) {
    for (int64_t j = 0; j < keys.keys; ++j, row += to.row, sums += sum_row) {
      for (int64_t c = 0; c < width; c += kLanes) {
        store_columns(row, to.column, c, width, load(sums + c) * factor);
        store(sums + c, Floats{});
      }
    }
  });
}

void store_keys(const BackwardCall& call, const BackwardKeys& keys, void* memory) {
  const BackwardScratch scratch(call, memory);
  const float key_factor = call.has_score_mod ? 1.0f : call.scale;  // else the queries have it
  store_sums(call.dkey, keys, call.head_dim, key_factor, scratch.key_sums, scratch.key_row);
  store_sums(call.dvalue, keys, call.value_dim, 1.0f, scratch.value_sums, scratch.value_row);
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
