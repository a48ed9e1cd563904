// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/kernels.h"
#include "cpu/attention/softmax-inl.h"
#include "cpu/attention/tile_machine-inl.h"
#include "cpu/microkernel.h"

/// The forward pass of one tile of queries: for each step of keys, scores, program, softmax, weighted
/// values. For kernel sources only, as simd.h.
///
/// Every row is computed by itself, in an order that the mask and key_step fix; how rows are grouped
/// into tiles and blocks changes no bit of the result.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

FOVEA_INLINE int64_t vectors_of(int64_t n) { return (n + kLanes - 1) / kLanes; }

/// One worker's memory.
struct ForwardScratch {
  int64_t score_row, value_row;  // floats from row to row
  float *queries, *scores, *values, *reference, *sum;
  void* machine;
  size_t bytes;

  /// With memory == nullptr only `bytes` counts.
  ForwardScratch(const ForwardCall& call, void* memory) {
    // A step may begin and end inside a vector. The odd vector keeps rows off the same cache sets.
    score_row = (vectors_of(call.key_step) + 2) * kLanes + 16;
    value_row = vectors_of(call.value_dim) * kLanes;
    bytes = 0;
    char* base = static_cast<char*>(memory);
    queries = take(base, call.max_rows * call.head_dim);
    scores = take(base, call.max_rows * score_row);
    values = take(base, call.max_rows * value_row);
    reference = take(base, call.max_rows);
    sum = take(base, call.max_rows * kLanes);
    machine = base == nullptr ? nullptr : base + bytes;
    if (call.program != nullptr) {
      bytes += TileMachine::scratch_bytes(*call.program, call.max_rows, call.key_step);
    }
    bytes = (bytes + 63) / 64 * 64;
  }

 private:
  float* take(char* base, int64_t floats) {
    char* at = base == nullptr ? nullptr : base + bytes;
    bytes += (static_cast<size_t>(floats) * sizeof(float) + 63) / 64 * 64;
    return reinterpret_cast<float*>(at);
  }
};

class ForwardKernel {
 public:
  ForwardKernel(const ForwardCall& call, const ForwardTile& tile, const ForwardScratch& scratch,
                TileMachine* machine)
      : call_(call), tile_(tile), scratch_(scratch), machine_(machine) {
    // Without a score_mod the scores are in base 2 from the start.
    unit_ = call.has_score_mod ? kLog2E : 1.0f;
  }

  void run() {
    load_queries(call_.has_score_mod ? call_.scale : call_.scale * kLog2E);
    for (int64_t r = 0; r < tile_.rows; ++r) {
      scratch_.reference[r] = -kInfinity;
      store(scratch_.sum + r * kLanes, Floats{});
    }
    if (!call_.has_mask) {
      walk(0, call_.kv_len, false);
    } else {
      walk_runs(tile_.full, tile_.full_runs, false);
      walk_runs(tile_.partial, tile_.partial_runs, true);
    }
    for (int64_t r = 0; r < tile_.rows; ++r) finish_row(r);
  }

 private:
  void load_queries(float scale) {
    const Tensor4& q = call_.query;
    const float* from = q.data + tile_.b * q.batch + tile_.h * q.head + tile_.q0 * q.row;
    float* to = scratch_.queries;
    for (int64_t r = 0; r < tile_.rows; ++r, from += q.row, to += call_.head_dim) {
      int64_t k = 0;
      for (; q.column == 1 && k + kLanes <= call_.head_dim; k += kLanes) {
        store(to + k, load(from + k) * scale);
      }
      for (; k < call_.head_dim; ++k) to[k] = from[k * q.column] * scale;
    }
  }

  void walk_runs(const BlockRun* runs, int64_t count, bool masked) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t end = runs[i].end * call_.mask_block;
      walk(runs[i].begin * call_.mask_block, end < call_.kv_len ? end : call_.kv_len, masked);
    }
  }

  void walk(int64_t begin, int64_t end, bool masked) {
    for (int64_t kv = begin; kv < end; kv += call_.key_step) {
      step(kv, end - kv < call_.key_step ? end - kv : call_.key_step, masked);
    }
  }

  /// Keys [kv, kv + keys).
  void step(int64_t kv, int64_t keys, bool masked) {
    const int64_t offset = kv % kLanes;
    multiply_keys(kv - offset, vectors_of(offset + keys), keys);
    float* scores = scratch_.scores + offset;
    if (machine_ != nullptr) machine_->run(kv, keys, scores, scratch_.score_row, masked);
    const bool exact = holds_not_finite(kv, keys);
    const SoftmaxRows rows{tile_.rows,
                           keys,
                           scores,
                           scratch_.score_row,
                           scratch_.values,
                           scratch_.value_row,
                           scratch_.reference,
                           scratch_.sum,
                           unit_};
    softmax(rows, started_, exact);
    if (exact) {
      add_values_exactly(kv, keys, scores);
    } else {
      multiply_values(kv, keys, scores);
    }
    started_ = true;
  }

  void multiply_keys(int64_t first_key, int64_t vectors, int64_t keys) {
    const PackedHead& head = tile_.head;
    const bool fetch_values = head.value_row == kBlockColumns;
    const MatrixOperands m{.a = scratch_.queries,
                           .a_row = call_.head_dim,
                           .a_k = 1,
                           .b = head.keys,
                           .b_k = kBlockColumns,
                           .b_panel = call_.head_dim * kBlockColumns,
                           .c = scratch_.scores,
                           .c_row = scratch_.score_row,
                           .then = head.values + first_key * head.value_row,
                           .then_floats = fetch_values ? keys * kBlockColumns : 0};
    multiply<Update::overwrite>(tile_.rows, call_.head_dim, first_key / kLanes, vectors, m);
  }

  void multiply_values(int64_t kv, int64_t keys, const float* scores) {
    const PackedHead& head = tile_.head;
    const int64_t next_panel = (kv + keys) / kBlockColumns * (call_.head_dim * kBlockColumns);
    const MatrixOperands m{
        .a = scores,
        .a_row = scratch_.score_row,
        .a_k = 1,
        .b = head.values + kv * head.value_row,
        .b_k = head.value_row,
        .b_panel = head.value_panel,
        .c = scratch_.values,
        .c_row = scratch_.value_row,
        .then = head.keys + next_panel,
        .then_floats = kv + keys < call_.kv_len ? call_.head_dim * kBlockColumns : 0};
    const int64_t vectors = vectors_of(call_.value_dim);
    if (started_) {
      multiply<Update::add>(tile_.rows, keys, 0, vectors, m);
    } else {
      multiply<Update::overwrite>(tile_.rows, keys, 0, vectors, m);
    }
  }

  bool holds_not_finite(int64_t kv, int64_t keys) const {
    for (int64_t c = kv / kFiniteChunk; c <= (kv + keys - 1) / kFiniteChunk; ++c) {
      if (tile_.head.not_finite[c] != 0) return true;
    }
    return false;
  }

  /// Key by key, leaving out those with weight 0: 0 * inf and 0 * NaN must not reach a row that may
  /// not see the key.
  void add_values_exactly(int64_t kv, int64_t keys, const float* weights) {
    const PackedHead& head = tile_.head;
    for (int64_t r = 0; r < tile_.rows; ++r, weights += scratch_.score_row) {
      float* sum = scratch_.values + r * scratch_.value_row;
      for (int64_t v = 0; v < vectors_of(call_.value_dim); ++v) {
        const int64_t panel = v / kBlockVectors, inside = v % kBlockVectors;
        const float* value = head.values + panel * head.value_panel + inside * kLanes;
        Floats total = started_ ? load(sum + v * kLanes) : Floats{};
        for (int64_t j = 0; j < keys; ++j) {
          if (weights[j] == 0.0f) continue;
          total = fma(broadcast(weights[j]), load(value + (kv + j) * head.value_row), total);
        }
        store(sum + v * kLanes, total);
      }
    }
  }

  void finish_row(int64_t r) {
    const int64_t row = tile_.q0 + r;
    const float sum = hsum(load(scratch_.sum + r * kLanes));
    const bool empty = sum == 0.0f;  // nothing allowed: out 0, lse -inf
    float* out =
        call_.out + tile_.b * call_.out_batch + tile_.h * call_.out_head + row * call_.out_row;
    const float* values = scratch_.values + r * scratch_.value_row;
    const Floats factor = broadcast(1.0f / sum);
    for (int64_t e = 0; e < call_.value_dim; e += kLanes) {
      const int64_t left = call_.value_dim - e;
      const Floats v = empty ? Floats{} : load(values + e) * factor;
      if (call_.out_column != 1) {
        for (int64_t i = 0; i < kLanes && i < left; ++i) out[(e + i) * call_.out_column] = v[i];
      } else if (left >= kLanes) {
        store(out + e, v);
      } else {
        store_partial(out + e, v, left);
      }
    }
    if (call_.lse == nullptr) return;
    call_.lse[tile_.b * call_.lse_batch + tile_.h * call_.lse_head + row * call_.lse_row] =
        empty ? -kInfinity : scratch_.reference[r] * kLn2 + log(broadcast(sum))[0];
  }

  const ForwardCall& call_;
  const ForwardTile& tile_;
  const ForwardScratch& scratch_;
  TileMachine* machine_;
  float unit_;
  bool started_ = false;
};

size_t forward_scratch(const ForwardCall& call) { return ForwardScratch(call, nullptr).bytes; }

void forward(const ForwardCall& call, const ForwardTile& tile, void* memory) {
  const ForwardScratch scratch(call, memory);
  if (call.program == nullptr) {
    ForwardKernel(call, tile, scratch, nullptr).run();
    return;
  }
  TileMachine machine(*call.program, *call.binding, scratch.machine, call.max_rows, call.key_step);
  machine.begin_head(tile.b, tile.h);
  machine.begin_rows(tile.q0, tile.rows);
  ForwardKernel(call, tile, scratch, &machine).run();
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
