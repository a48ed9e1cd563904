// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/backward_kernels.h"
#include "cpu/simd_half.h"
#include "cpu/simd_math.h"

/// What the backward pass does row by row: before the tiles the numbers that they need of each row, after
/// them the gradients that they summed. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// Columns [column, column + kLanes) of a row of `width`; 0 beyond.
template <class Element>
FOVEA_INLINE Floats load_columns(const Element* row, int64_t stride, int64_t column,
                                 int64_t width) {
  const int64_t left = width - column;
  const Element* at = row + column * stride;
  if (stride == 1) return left >= kLanes ? load(at) : load_partial(at, left);
  Floats v = {};
  for (int i = 0; i < kLanes; ++i) {
    if (i < left) v[i] = load_one(at + i * stride);
  }
  return v;
}

template <class Element>
FOVEA_INLINE void store_columns(Element* row, int64_t stride, int64_t column, int64_t width,
                                Floats v) {
  const int64_t left = width - column;
  Element* at = row + column * stride;
  if (stride != 1) {
    for (int i = 0; i < kLanes; ++i) {
      if (i < left) store_one(at + i * stride, v[i]);
    }
  } else if (left >= kLanes) {
    store(at, v);
  } else {
    store_partial(at, v, left);
  }
}

/// A row as it lies in memory.
template <class Data>
struct RowView {
  Data* data;
  DType dtype;
  int64_t column;
};

FOVEA_INLINE RowView<const void> row_of(const Tensor4& t, int64_t b, int64_t h, int64_t row) {
  return {advance(t.data, t.dtype, b * t.batch + h * t.head + row * t.row), t.dtype, t.column};
}
FOVEA_INLINE RowView<void> row_of(const Gradient4& t, int64_t b, int64_t h, int64_t row) {
  return {advance(t.data, t.dtype, b * t.batch + h * t.head + row * t.row), t.dtype, t.column};
}

FOVEA_INLINE double number_of(const RowInput& t, int64_t b, int64_t h, int64_t row) {
  const int64_t at = b * t.batch + h * t.head + row * t.row;
  return t.wide ? static_cast<const double*>(t.data)[at]
                : static_cast<double>(static_cast<const float*>(t.data)[at]);
}

/// 0 in each lane if all of a row is finite: x * 0 is 0 for such.
inline Floats check_row(const RowView<const void>& row, int64_t width) {
  Floats check = {};
  with_elements(row.dtype, row.data, [&](const auto* data) {
    for (int64_t c = 0; c < width; c += kLanes) {
      check = fma(load_columns(data, row.column, c, width), Floats{}, check);
    }
  });
  return check;
}

inline float dot(const RowView<const void>& a, const RowView<const void>& b, int64_t width) {
  Floats sum = {};
  with_elements(a.dtype, a.data, [&](const auto* x) {
    with_elements(b.dtype, b.data, [&](const auto* y) {
      for (int64_t c = 0; c < width; c += kLanes) {
        sum = fma(load_columns(x, a.column, c, width), load_columns(y, b.column, c, width), sum);
      }
    });
  });
  return hsum(sum);
}

FOVEA_INLINE int64_t row_number(const BackwardCall& call, int64_t b, int64_t h, int64_t row) {
  return b * call.batch_rows + h * call.head_rows + row;
}

inline LseRow split(double lse) {
  if (!(lse > -kMostWhole && lse < kMostWhole)) return {static_cast<float>(lse), 1.0f};
  const auto whole = static_cast<double>(static_cast<int64_t>(lse + (lse < 0 ? -0.5 : 0.5)));
  const auto fraction = static_cast<float>(whole - lse);
  return {static_cast<float>(whole), exp2(broadcast(fraction))[0]};
}

void prepare_rows(const BackwardCall& call, const RowRange& rows) {
  for (int64_t first = rows.first; first < rows.last; first += kFiniteChunk) {
    const int64_t left = rows.last - first;
    const int64_t last = first + (left < kFiniteChunk ? left : kFiniteChunk);
    Floats query_check = {}, dout_check = {};
    for (int64_t number = first; number < last; ++number) {
      const int64_t heads = number / call.head_rows, row = number % call.head_rows;
      const int64_t b = heads / call.q_heads, h = heads % call.q_heads;
      const RowView<const void> dout = row_of(call.dout, b, h, row);
      query_check += check_row(row_of(call.query, b, h, row), call.head_dim);
      dout_check += check_row(dout, call.value_dim);
      float delta =
          call.delta_from_out ? dot(dout, row_of(call.out, b, h, row), call.value_dim) : 0.0f;
      if (call.dlse.data != nullptr) delta -= static_cast<float>(number_of(call.dlse, b, h, row));
      call.row_delta[number] = delta;
      call.row_lse[number] = split(number_of(call.lse, b, h, row) * 1.44269504088896341);
    }
    call.query_not_finite[first / kFiniteChunk] = any(query_check != 0.0f) ? 1 : 0;
    call.dout_not_finite[first / kFiniteChunk] = any(dout_check != 0.0f) ? 1 : 0;
  }
}

void add_queries(const BackwardCall& call, const QueryPart& part) {
  const int64_t width = call.head_dim, sums_row = part.from.row;
  const bool summed_apart = call.query_sums != nullptr;
  const bool convert = summed_apart && part.last;
  for (int64_t unit = 0; unit * part.from.unit < part.q_len; ++unit) {
    const bool touched = part.from.touched[unit] != 0;
    if (!convert && (touched ? part.in_place : !part.first)) continue;
    const int64_t first = unit * part.from.unit;
    const int64_t left = part.q_len - first;
    const int64_t last = first + (left < part.from.unit ? left : part.from.unit);
    for (int64_t q = first; q < last; ++q) {
      const float* from = touched ? part.from.data + q * sums_row : nullptr;
      RowView<void> to = row_of(call.dquery, part.b, part.h, part.q_first + q);
      RowView<void> before = to;
      if (summed_apart) {
        const int64_t number = row_number(call, part.b, part.h, part.q_first + q);
        before = {call.query_sums + number * call.query_row, DType::f32, 1};
        if (!convert) to = before;
      }
      const auto* add = part.first ? nullptr : static_cast<const float*>(before.data);
      with_elements(to.dtype, to.data, [&](auto* data) {
        for (int64_t c = 0; c < width; c += kLanes) {
          Floats v = from == nullptr ? Floats{} : load(from + c);
          if (add != nullptr) v += load_columns(add, before.column, c, width);
          store_columns(data, to.column, c, width, v);
        }
      });
    }
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
