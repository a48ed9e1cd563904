// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/kernels.h"
#include "cpu/microkernel.h"
#include "cpu/transpose.h"

/// Keys and values are rearranged once a head into the panels that the microkernel reads: keys
/// transposed, values as they are, both kBlockColumns wide and padded with zeros. For kernel sources
/// only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// One vector of keys (`keys` of them, the rest 0), all columns: to[column * kBlockColumns + lane].
/// Rows lie together: squares are transposed.
inline void pack_key_rows(const float* from, int64_t row, int64_t keys, int64_t width, float* to) {
  for (int64_t column = 0; column < width; column += kLanes) {
    const int64_t columns = width - column < kLanes ? width - column : kLanes;
    Square square = {};
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      const float* at = from + i * row + column;
      if (i < keys) square.row[i] = columns == kLanes ? load(at) : load_partial(at, columns);
    }
    transpose(square);
    for (int64_t j = 0; j < columns; ++j) store(to + (column + j) * kBlockColumns, square.row[j]);
  }
}

/// The same for any strides; columns that lie together (a transposed tensor) are copied.
inline void pack_key_columns(const float* from, int64_t row, int64_t column, int64_t keys,
                             int64_t width, float* to) {
  for (int64_t j = 0; j < width; ++j, from += column, to += kBlockColumns) {
    if (row == 1) {
      store(to, keys == kLanes ? load(from) : load_partial(from, keys));
      continue;
    }
    for (int64_t i = 0; i < kLanes; ++i) to[i] = i < keys ? from[i * row] : 0.0f;
  }
}

void pack_keys(const PackJob& job) {
  for (int64_t key = job.first; key < job.last; key += kBlockColumns) {
    float* panel = job.to + key / kBlockColumns * (job.width * kBlockColumns);
    for (int64_t inside = 0; inside < kBlockColumns; inside += kLanes) {
      const int64_t left = job.length - key - inside;
      const int64_t keys = left < 0 ? 0 : left < kLanes ? left : kLanes;
      const float* from = job.from + (key + inside) * job.row;
      if (job.column == 1) {
        pack_key_rows(from, job.row, keys, job.width, panel + inside);
      } else {
        pack_key_columns(from, job.row, job.column, keys, job.width, panel + inside);
      }
    }
  }
}

/// Columns [column, column + kLanes) of one row; 0 beyond the width.
FOVEA_INLINE Floats value_vector(const PackJob& job, const float* row, int64_t column) {
  const int64_t left = job.width - column;
  if (left <= 0) return Floats{};
  const float* at = row + column * job.column;
  if (job.column == 1) return left >= kLanes ? load(at) : load_partial(at, left);
  Floats v = {};
  for (int i = 0; i < kLanes; ++i) {
    if (i < left) v[i] = at[i * job.column];
  }
  return v;
}

/// One panel of keys [first, last). Gives 0 in each lane if all values are finite: x * 0 is 0 for them.
template <bool kWhole, bool kCopy>
inline Floats pack_value_panel(const PackJob& job, int64_t panel, int64_t first, int64_t last) {
  const float* row = job.from + first * job.row;
  float* to = kCopy ? job.to + (panel * job.length + first) * kBlockColumns : nullptr;
  Floats check[kBlockVectors] = {};
  for (int64_t key = first; key < last; ++key, row += job.row) {
#pragma GCC unroll 4
    for (int j = 0; j < kBlockVectors; ++j) {
      const int64_t column = panel * kBlockColumns + j * kLanes;
      const Floats v = kWhole ? load(row + column) : value_vector(job, row, column);
      check[j] = fma(v, Floats{}, check[j]);
      if constexpr (kCopy) store(to + j * kLanes, v);
    }
    if constexpr (kCopy) to += kBlockColumns;
  }
  Floats total = check[0];
#pragma GCC unroll 4
  for (int j = 1; j < kBlockVectors; ++j) total += check[j];
  return total;
}

/// Values by panels of columns: [panel][key][kBlockColumns]. Notes the chunks of keys that hold an
/// infinity or a NaN.
void pack_values(const PackJob& job) {
  const int64_t panels = (job.width + kBlockColumns - 1) / kBlockColumns;
  for (int64_t first = job.first; first < job.last; first += kFiniteChunk) {
    const int64_t last = job.last - first < kFiniteChunk ? job.last : first + kFiniteChunk;
    Floats check = {};
    for (int64_t panel = 0; panel < panels; ++panel) {
      const bool whole = job.column == 1 && (panel + 1) * kBlockColumns <= job.width;
      if (job.to == nullptr) {
        check += whole ? pack_value_panel<true, false>(job, panel, first, last)
                       : pack_value_panel<false, false>(job, panel, first, last);
      } else {
        check += whole ? pack_value_panel<true, true>(job, panel, first, last)
                       : pack_value_panel<false, true>(job, panel, first, last);
      }
    }
    job.not_finite[first / kFiniteChunk] = any(check != 0.0f) ? 1 : 0;
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
