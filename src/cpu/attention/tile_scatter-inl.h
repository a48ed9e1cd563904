// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/tile_gather-inl.h"
#include "cpu/attention/tile_sums-inl.h"
#include "cpu/simd.h"

/// Adding to tensors: the transpose of a gather. As safe: a lane whose index lies outside the tensor
/// adds nothing. Element by element in the order of rows and columns, except that neighbours with one
/// address are summed first.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// A sum of neighbours that have the same address.
class RunSum {
 public:
  FOVEA_INLINE void add(float* to, Floats v) {
    if (to != to_) flush();
    to_ = to;
    sum_ += v;
  }
  FOVEA_INLINE void flush() {
    if (to_ != nullptr) *to_ += hsum(sum_);
    to_ = nullptr;
    sum_ = Floats{};
  }

 private:
  float* to_ = nullptr;
  Floats sum_ = {};
};

FOVEA_INLINE void add_lanes(float* base, Ints offsets, Ints inside, Floats v) {
  int32_t offset[kLanes], on[kLanes];
  float value[kLanes];
  memcpy(offset, &offsets, sizeof offset);
  memcpy(on, &inside, sizeof on);
  memcpy(value, &v, sizeof value);
  for (int lane = 0; lane < kLanes; ++lane) {
    if (on[lane] != 0) base[offset[lane]] += value[lane];
  }
}

/// One or two varying indices whose offsets fit 32 bits. `values` is the row that is added.
inline void scatter_by_words(const GatherJob& job, int64_t i, float* base, const float* values) {
  const GatherIndex& a = job.varying[0];
  const GatherIndex& b = job.varying[job.varying_count - 1];
  const Ints last_a = broadcast(static_cast<int32_t>(a.size - 1));
  const Ints last_b = broadcast(static_cast<int32_t>(b.size - 1));
  const Ints stride_a = broadcast(static_cast<int32_t>(a.stride));
  const Ints stride_b =
      broadcast(job.varying_count == 2 ? static_cast<int32_t>(b.stride) : int32_t{0});
  const int32_t *from_a = a.view.ints_at(i), *from_b = b.view.ints_at(i);
  RunSum run;
  for (int64_t j = 0; j < job.n; j += kLanes) {
    const Ints at_a = load(from_a + j), at_b = load(from_b + j);
    Ints inside = inside_of(at_a, last_a) & inside_of(at_b, last_b);
    if (j + kLanes > job.n) inside &= first_lanes(job.n - j);
    const Ints offset = (at_a & inside) * stride_a + (at_b & inside) * stride_b;
    const Floats v = load(values + j);
    if (all(inside & (offset == broadcast(offset[0])))) {
      run.add(base + offset[0], v);
    } else {
      run.flush();
      add_lanes(base, offset, inside, v);
    }
  }
  run.flush();
}

/// Any number of varying indices, 64-bit offsets.
inline void scatter_one_by_one(const GatherJob& job, int64_t i, float* base, const float* values) {
  for (int64_t j = 0; j < job.n; ++j) {
    int64_t offset = 0;
    bool inside = true;
    for (int k = 0; inside && k < job.varying_count; ++k) {
      const int64_t at = job.varying[k].at(i, j);
      inside = at >= 0 && at < job.varying[k].size;
      if (inside) offset += at * job.varying[k].stride;
    }
    if (inside) base[offset] += values[j];
  }
}

/// data[indices] += values. A GatherJob with n the columns that count, and no destination.
__attribute__((noinline)) inline void run_scatter(const GatherJob& job, float* data,
                                                  const TileView& values) {
  const bool by_words = has_small_offsets(job, 1);
  for (int64_t i = 0; i < job.rows; ++i) {
    int64_t offset = 0;
    if (!find_row(job, i, &offset)) continue;
    const float* row = values.at(i);
    if (job.varying_count == 0) {
      const SumJob sum{.rows = 1, .cols = job.n, .value = values, .factor = {}};
      data[offset] += hsum(row_total(PlainRow(sum, i), job.n));
    } else if (const int64_t start = plain_start(job, i); start >= 0) {
      float* to = data + offset + start;
      for (int64_t j = 0; j < job.n; j += kLanes) add_to(to + j, load(row + j), job.n - j);
    } else if (by_words) {
      scatter_by_words(job, i, data + offset, row);
    } else {
      scatter_one_by_one(job, i, data + offset, row);
    }
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
