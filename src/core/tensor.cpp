// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include <fovea/tensor.h>
#include "core/fail.h"

namespace fovea {
namespace {

// Broadcast views may name more elements than 64 bits can count.
int64_t saturating_product(int64_t count, int64_t size) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  return count > kMost / size ? kMost : count * size;
}

}  // namespace

Dims::Dims(std::span<const int64_t> values) {
  core::require(values.size() <= static_cast<std::size_t>(kMaxRank), "Dims", "rank is limited",
                "at most " + std::to_string(kMaxRank), values.size());
  std::copy(values.begin(), values.end(), values_.begin());
  rank_ = static_cast<int>(values.size());
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.rank(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(dims[i]);
  }
  return text + "]";
}

Dims contiguous_strides(const Dims& sizes) {
  Dims strides = sizes;
  int64_t step = 1;
  for (int i = sizes.rank() - 1; i >= 0; --i) {
    strides[i] = step;
    step = saturating_product(step, sizes[i] > 0 ? sizes[i] : 1);
  }
  return strides;
}

int64_t TensorView::numel() const noexcept {
  int64_t count = 1;
  for (const int64_t size : sizes) {
    if (size <= 0) return 0;
    count = saturating_product(count, size);
  }
  return count;
}

bool TensorView::is_contiguous() const noexcept {
  if (numel() == 0) return true;
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (sizes[i] == 1) continue;
    if (strides[i] != step) return false;
    step = saturating_product(step, sizes[i]);
  }
  return true;
}

}  // namespace fovea
