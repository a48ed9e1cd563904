// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/kernels.h"
#include "cpu/simd.h"

/// Where the keys or values of a sequence lie in memory: the one place that knows of pages. For kernel
/// sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

FOVEA_INLINE int64_t page_of(const PageTable& pages, int64_t i) {
  const int64_t at = i * pages.stride;
  return pages.wide ? static_cast<const int64_t*>(pages.data)[at]
                    : static_cast<const int32_t*>(pages.data)[at];
}

/// The first elements of keys [first, first + count). Without pages, they are `row` elements apart from
/// `from` on; with them, that holds within a page, and `from` is page 0.
template <class T>
inline void rows_of_keys(const T* from, int64_t row, const PageTable& pages, int64_t first,
                         int64_t count, const T** rows) {
  if (pages.data == nullptr) {
    for (int64_t i = 0; i < count; ++i) rows[i] = from + (first + i) * row;
    return;
  }
  for (int64_t i = 0; i < count;) {
    const int64_t page = (first + i) / pages.size, inside = (first + i) % pages.size;
    const T* at = from + page_of(pages, page) * pages.page + inside * row;
    for (int64_t j = inside; j < pages.size && i < count; ++j, ++i, at += row) rows[i] = at;
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
