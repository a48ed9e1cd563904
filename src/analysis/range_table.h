// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include <fovea/tensor.h>
#include "analysis/interval_float.h"
#include "analysis/interval_int.h"
#include "analysis/value_index.h"
#include "analysis/value_set.h"

/// Ranges of the elements of captured tensors. Positions count elements in row-major order, whatever
/// the strides: an interval of positions covers any box of indices whose leading ones are points, and
/// is exactly that box if the indices behind the first interval are whole dimensions.
namespace fovea::analysis {

/// Element `offset` (in elements from data), as the interpreter reads it.
int64_t load_int(const TensorView& tensor, int64_t offset);   // integral and bool
double load_float(const TensorView& tensor, int64_t offset);  // floating
std::vector<int64_t> load_ints(const TensorView& tensor);     // all, in row-major order

/// The range of positions [first, last], by looking at each. Not empty, inside the tensor.
IntRange scan_ints(const TensorView& tensor, int64_t first, int64_t last);
FloatRange scan_floats(const TensorView& tensor, int64_t first, int64_t last);

/// What is known of a piece of an integer tensor.
struct IntSummary {
  int64_t lo = 0, hi = 0;
  ValueSet set;
  IntRange range() const noexcept { return {lo, hi}; }
};

/// Min/max (and value sets) over aligned groups of 16, 32, 64, ... elements (1/8 of the tensor's entries): the exact
/// range of any interval of positions in O(log n), of an aligned one in O(1).
template <class Summary>
class Pyramid {
 public:
  explicit Pyramid(const TensorView& tensor);
  Summary query(int64_t first, int64_t last) const;  // [first, last] inside the tensor, not empty

 private:
  static constexpr int kGroupBits = 4;
  Summary scan(int64_t first, int64_t last) const;

  TensorView tensor_;
  std::vector<std::vector<Summary>> levels_;
};

extern template class Pyramid<IntSummary>;
extern template class Pyramid<FloatRange>;

/// The pyramids and value indices of a program's captures, each built when first asked for. Thread-safe.
class RangeTables {
 public:
  explicit RangeTables(std::span<const TensorView> captures);
  ~RangeTables();
  const Pyramid<IntSummary>& ints(int32_t slot);
  const Pyramid<FloatRange>& floats(int32_t slot);
  const ValueIndex& values(int32_t slot);

 private:
  struct Entry;
  std::vector<Entry> entries_;
};

}  // namespace fovea::analysis
