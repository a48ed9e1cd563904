// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/tile_loops-inl.h"
#include "cpu/simd.h"

/// Sums of a chunk of a tile: all of it, along rows, columns or diagonals. Each is first summed by
/// itself and then added to what was there, in an order that the chunk fixes.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// The summands: `value`, or value * factor where value is not 0. Lanes beyond `cols` may hold anything.
struct SumJob {
  int64_t rows, cols;
  TileView value, factor;
};

/// The summands of one row, a vector at a time from column j on.
struct PlainRow {
  const float* value;
  PlainRow(const SumJob& job, int64_t i) : value(job.value.at(i)) {}
  FOVEA_INLINE Floats at(int64_t j) const { return load(value + j); }
};
struct ProductRow {
  const float *value, *factor;
  int64_t step;  // 0 or 1
  ProductRow(const SumJob& job, int64_t i)
      : value(job.value.at(i)), factor(job.factor.at(i)), step(job.factor.step != 0 ? 1 : 0) {}
  FOVEA_INLINE Floats at(int64_t j) const {
    const Floats v = load(value + j);
    return select(v != 0.0f, v * load(factor + j * step), Floats{});
  }
};

/// Lane by lane, over all columns of a row.
template <class Row>
FOVEA_INLINE Floats row_total(const Row& row, int64_t cols) {
  Floats a = {}, b = {}, c = {}, d = {};
  int64_t j = 0;
  for (; j + 4 * kLanes <= cols; j += 4 * kLanes) {
    a += row.at(j);
    b += row.at(j + kLanes);
    c += row.at(j + 2 * kLanes);
    d += row.at(j + 3 * kLanes);
  }
  for (; j + kLanes <= cols; j += kLanes) a += row.at(j);
  if (j < cols) b += select(first_lanes(cols - j), row.at(j), Floats{});
  return (a + b) + (c + d);
}

/// total += all summands, lane by lane.
template <class Row>
__attribute__((noinline)) void sum_all(const SumJob& job, float* total) {
  Floats sum = {};
  for (int64_t i = 0; i < job.rows; ++i) sum += row_total(Row(job, i), job.cols);
  store(total, load(total) + sum);
}

/// sums[i] += the summands of row i.
template <class Row>
__attribute__((noinline)) void sum_rows(const SumJob& job, float* sums) {
  for (int64_t i = 0; i < job.rows; ++i) sums[i] += hsum(row_total(Row(job, i), job.cols));
}

/// sums[0 ... count - 1] += v; lanes beyond a whole vector are not touched.
FOVEA_INLINE void add_to(float* sums, Floats v, int64_t count) {
  if (count >= kLanes) {
    store(sums, load(sums) + v);
  } else {
    store_partial(sums, load_partial(sums, count) + v, count);
  }
}

/// sums[j] += the summands of column j.
template <class Row>
__attribute__((noinline)) void sum_columns(const SumJob& job, float* sums) {
  int64_t j = 0;
  for (; j + 4 * kLanes <= job.cols; j += 4 * kLanes) {
    Floats a = {}, b = {}, c = {}, d = {};
    for (int64_t i = 0; i < job.rows; ++i) {
      const Row row(job, i);
      a += row.at(j);
      b += row.at(j + kLanes);
      c += row.at(j + 2 * kLanes);
      d += row.at(j + 3 * kLanes);
    }
    add_to(sums + j, a, kLanes);
    add_to(sums + j + kLanes, b, kLanes);
    add_to(sums + j + 2 * kLanes, c, kLanes);
    add_to(sums + j + 3 * kLanes, d, kLanes);
  }
  for (; j < job.cols; j += kLanes) {
    Floats a = {};
    for (int64_t i = 0; i < job.rows; ++i) a += Row(job, i).at(j);
    add_to(sums + j, a, job.cols - j);
  }
}

/// Columns j ... j + kLanes - 1 of a row; 0 where there is none.
FOVEA_INLINE Floats load_inside(const float* row, int64_t j, int64_t cols) {
  Floats v = {};
  const int64_t begin = j < 0 ? -j : 0, end = cols - j < kLanes ? cols - j : kLanes;
#if defined(FOVEA_SIMD_AVX512)
  if (begin >= end) return v;
  const auto lanes = static_cast<__mmask16>((0xffffu >> (16 - end)) & (0xffffu << begin));
  v = _mm512_maskz_loadu_ps(lanes, row + j);
#else
  for (int64_t l = begin; l < end; ++l) v[l] = row[j + l];
#endif
  return v;
}

/// sums[j - i + rows - 1] += the summand of row i and column j. Kept in a register are the sums of
/// kLanes neighbouring diagonals, which a row contributes to with one vector.
__attribute__((noinline)) inline void sum_diagonals(const SumJob& job, float* sums) {
  const int64_t rows = job.rows, cols = job.cols, count = rows + cols - 1;
  for (int64_t e = 0; e < count; e += kLanes) {
    // Row i has these diagonals in the columns from e - (rows - 1) + i on: all of them in rows [first,
    // last), some or none before and after.
    const int64_t shift = e - (rows - 1);
    int64_t first = -shift, last = cols - kLanes - shift + 1;
    first = first < 0 ? 0 : first > rows ? rows : first;
    last = last < first ? first : last > rows ? rows : last;
    Floats a = {}, b = {}, c = {}, d = {};
    for (int64_t i = first - kLanes + 1 > 0 ? first - kLanes + 1 : 0; i < first; ++i) {
      a += load_inside(job.value.at(i), shift + i, cols);
    }
    int64_t i = first;
    for (; i + 4 <= last; i += 4) {
      const float* row = job.value.at(i) + shift + i;
      const int64_t next = job.value.row + 1;
      a += load(row);
      b += load(row + next);
      c += load(row + 2 * next);
      d += load(row + 3 * next);
    }
    for (; i < last; ++i) a += load(job.value.at(i) + shift + i);
    for (; i < rows && shift + i < cols; ++i) {
      b += load_inside(job.value.at(i), shift + i, cols);
    }
    add_to(sums + e, (a + b) + (c + d), count - e);
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
