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

template <class T>
FOVEA_INLINE const T* row_of_key(const HeadRows& rows, const T* from, int64_t key) {
  const PageTable& pages = rows.pages;
  if (pages.data == nullptr) return from + key * rows.row;
  const int64_t i = key / pages.size;
  return from + page_of(pages, i) * pages.page + (key - i * pages.size) * rows.row;
}

/// How many of the keys [key, last) lie rows.row elements apart.
FOVEA_INLINE int64_t keys_together(const HeadRows& rows, int64_t key, int64_t last) {
  const PageTable& pages = rows.pages;
  if (pages.data == nullptr) return last - key;
  const int64_t left = pages.size - key % pages.size;
  return left < last - key ? left : last - key;
}

/// The first elements of keys [first, first + count); `from` is rows.from as a pointer to elements.
template <class T>
inline void rows_of_keys(const HeadRows& rows, const T* from, int64_t first, int64_t count,
                         const T** at) {
  for (int64_t i = 0; i < count;) {
    const int64_t together = keys_together(rows, first + i, first + count);
    const T* row = row_of_key(rows, from, first + i);
    for (const int64_t end = i + together; i < end; ++i, row += rows.row) at[i] = row;
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
