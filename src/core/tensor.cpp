// SPDX-License-Identifier: Apache-2.0
#include <fovea/tensor.h>
#include "core/fail.h"

namespace fovea {

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
    step *= sizes[i] > 0 ? sizes[i] : 1;
  }
  return strides;
}

int64_t TensorView::numel() const noexcept {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return count;
}

bool TensorView::is_contiguous() const noexcept {
  if (numel() == 0) return true;
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (sizes[i] != 1 && strides[i] != step) return false;
    step *= sizes[i];
  }
  return true;
}

}  // namespace fovea
