// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "attention/problem.h"

/// Where the rows of a problem's tensors lie, jagged batches and pages included, and their elements in
/// float64: for whoever computes densely. Positions are those within a sequence, as mods see them.
namespace fovea::attention {

/// Of query row q of (b, h): its first element in a tensor of the query's rows (query, out, dout, dquery;
/// also lse, dlse, max_scores, whose rows are one element). A tensor of batch 1 serves every b.
int64_t query_row(const Problem& problem, const TensorView& tensor, int64_t b, int64_t h,
                  int64_t q);

/// Of key position kv of (b, key head): the same in key, value or their gradients. InvalidArgument if the
/// page table names a page that there is not.
int64_t key_row(const Problem& problem, const TensorView& tensor, int64_t b, int64_t kv_head,
                int64_t kv);

/// An element at a position, of any floating-point dtype.
double load_element(const TensorView& tensor, int64_t at);
void store_element(const TensorView& tensor, int64_t at, double x);

/// 0 in every element of a tensor of f64, f32, bf16 or f16, with any strides.
void store_zeros(const TensorView& tensor);

/// Calls f(position in `tensor`, ordinal in row-major order) for every element.
template <class F>
void for_each_element(const TensorView& tensor, F&& f) {
  const int64_t count = tensor.numel();
  for (int64_t ordinal = 0; ordinal < count; ++ordinal) {
    int64_t rest = ordinal, at = 0;
    for (int i = tensor.rank() - 1; i >= 0; --i) {
      at += rest % tensor.size(i) * tensor.stride(i);
      rest /= tensor.size(i);
    }
    f(at, ordinal);
  }
}

}  // namespace fovea::attention
