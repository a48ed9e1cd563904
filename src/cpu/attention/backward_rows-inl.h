// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/backward_kernels.h"
#include "cpu/simd_math.h"

/// What the backward pass does row by row: before the tiles the numbers that they need of each row, after
/// them the gradients that they summed. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// Columns [column, column + kLanes) of a row of `width`; 0 beyond.
FOVEA_INLINE Floats load_columns(const float* row, int64_t stride, int64_t column, int64_t width) {
  const int64_t left = width - column;
  const float* at = row + column * stride;
  if (stride == 1) return left >= kLanes ? load(at) : load_partial(at, left);
  Floats v = {};
  for (int i = 0; i < kLanes; ++i) {
    if (i < left) v[i] = at[i * stride];
  }
  return v;
}

FOVEA_INLINE void store_columns(float* row, int64_t stride, int64_t column, int64_t width,
                                Floats v) {
  const int64_t left = width - column;
  float* at = row + column * stride;
  if (stride != 1) {
    for (int i = 0; i < kLanes; ++i) {
      if (i < left) at[i * stride] = v[i];
    }
  } else if (left >= kLanes) {
    store(at, v);
  } else {
    store_partial(at, v, left);
  }
}

FOVEA_INLINE const float* row_of(const Tensor4& t, int64_t b, int64_t h, int64_t row) {
  return t.data + b * t.batch + h * t.head + row * t.row;
}
FOVEA_INLINE float* row_of(const Gradient4& t, int64_t b, int64_t h, int64_t row) {
  return t.data + b * t.batch + h * t.head + row * t.row;
}

FOVEA_INLINE double number_of(const RowInput& t, int64_t b, int64_t h, int64_t row) {
  const int64_t at = b * t.batch + h * t.head + row * t.row;
  return t.wide ? static_cast<const double*>(t.data)[at]
                : static_cast<double>(static_cast<const float*>(t.data)[at]);
}

/// 0 in each lane if all of a row is finite: x * 0 is 0 for such.
inline Floats check_row(const float* row, int64_t stride, int64_t width) {
  Floats check = {};
  for (int64_t c = 0; c < width; c += kLanes) {
    check = fma(load_columns(row, stride, c, width), Floats{}, check);
  }
  return check;
}

/// The same for dout, and sum(dout * out) of the row.
inline Floats check_dout(const BackwardCall& call, const float* dout, const float* out,
                         float& delta) {
  const int64_t width = call.value_dim;
  Floats check = {}, sum = {};
  for (int64_t c = 0; c < width; c += kLanes) {
    const Floats g = load_columns(dout, call.dout.column, c, width);
    check = fma(g, Floats{}, check);
    sum = fma(g, load_columns(out, call.out.column, c, width), sum);
  }
  delta = hsum(sum);
  return check;
}

/// Rows from a multiple of kFiniteChunk to another, or to the end.
void prepare_rows(const BackwardCall& call, const BackwardRows& rows) {
  const int64_t head = rows.b * call.q_heads + rows.h;
  const int64_t chunks = (call.q_len + kFiniteChunk - 1) / kFiniteChunk;
  const int64_t end = rows.q0 + rows.rows;
  for (int64_t first = rows.q0; first < end; first += kFiniteChunk) {
    const int64_t last = end - first < kFiniteChunk ? end : first + kFiniteChunk;
    Floats query_check = {}, dout_check = {};
    for (int64_t q = first; q < last; ++q) {
      const int64_t row = rows.q_first + q;
      float delta;
      query_check += check_row(row_of(call.query, rows.b, rows.h, row), call.query.column,
                               call.head_dim);
      dout_check += check_dout(call, row_of(call.dout, rows.b, rows.h, row),
                               row_of(call.out, rows.b, rows.h, row), delta);
      if (call.dlse.data != nullptr) {
        delta -= static_cast<float>(number_of(call.dlse, rows.b, rows.h, row));
      }
      call.row_delta[head * call.q_len + q] = delta;
      call.row_lse[head * call.q_len + q] =
          static_cast<float>(number_of(call.lse, rows.b, rows.h, row) * 1.44269504088896341);
    }
    const int64_t chunk = head * chunks + first / kFiniteChunk;
    call.query_not_finite[chunk] = any(query_check != 0.0f) ? 1 : 0;
    call.dout_not_finite[chunk] = any(dout_check != 0.0f) ? 1 : 0;
  }
}

/// One row of the gradient of the queries; from == nullptr: zeros.
FOVEA_INLINE void add_query_row(const BackwardCall& call, const float* from, float* to, bool add) {
  const int64_t stride = call.dquery.column, width = call.head_dim;
  for (int64_t c = 0; c < width; c += kLanes) {
    Floats v = from == nullptr ? Floats{} : load(from + c);
    if (add) v += load_columns(to, stride, c, width);
    store_columns(to, stride, c, width, v);
  }
}

void add_queries(const BackwardCall& call, const QueryPart& part) {
  for (int64_t unit = 0; unit * part.from.unit < part.q_len; ++unit) {
    const bool touched = part.from.touched[unit] != 0;
    if (touched ? part.in_place : !part.first) continue;
    const int64_t first = unit * part.from.unit;
    const int64_t left = part.q_len - first;
    const int64_t last = first + (left < part.from.unit ? left : part.from.unit);
    for (int64_t q = first; q < last; ++q) {
      add_query_row(call, touched ? part.from.data + q * part.from.row : nullptr,
                    row_of(call.dquery, part.b, part.h, part.q_first + q), !part.first);
    }
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
