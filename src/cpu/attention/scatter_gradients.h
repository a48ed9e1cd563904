// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <fovea/tensor.h>
#include "analysis/joint_classes.h"
#include "program/derive.h"

/// The end of a captured gradient whose contributions were summed before they reach the tensor: each
/// sum is added at the index that its row, column or diagonal has.
namespace fovea::cpu {

/// The positions (TileGradient) of a rectangle of elements: `count` of them from `first`.
struct SumRange {
  int64_t first = 0, count = 0;
};
SumRange sum_range(analysis::IndexClass index, int64_t q0, int64_t rows, int64_t kv0, int64_t cols);

/// One contribution of class scalar, row, column or diagonal. Not thread-safe; one may run beside
/// another on a different gradient.
class GradientScatter {
 public:
  /// `contribution` counts the joint program's captures. `mod` is the program it was derived from, with
  /// the values of this call.
  GradientScatter(const program::JointProgram& joint, const Program& mod, std::size_t contribution);
  ~GradientScatter();
  GradientScatter(GradientScatter&&) noexcept;

  /// gradient[index at position first + i] += sums[i], i ascending. The gradient is f32 or f64 with the
  /// capture's sizes, and any strides. A position whose index is outside, or has no value, is skipped.
  void add(int64_t b, int64_t h, int64_t first, std::span<const float> sums,
           const TensorView& gradient);
  void add(int64_t b, int64_t h, int64_t first, std::span<const double> sums,
           const TensorView& gradient);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fovea::cpu
