// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <fovea/tensor.h>

/// Which values an integer tensor holds where: a wavelet matrix over the ranks of its values, of
/// numel * log2(distinct values) * 1.5 bits.
namespace fovea::analysis {

class ValueIndex {
 public:
  /// Of an integral or bool tensor with at most 2^32 - 1 elements.
  explicit ValueIndex(const TensorView& tensor);

  /// Whether an element at the positions [first, last] (row-major, inside the tensor) has a value in
  /// [lo, hi]. O(log(distinct values)).
  bool holds(int64_t first, int64_t last, int64_t lo, int64_t hi) const;

 private:
  /// One bit of the ranks, in the order that the levels before left.
  class Level {
   public:
    explicit Level(std::size_t size) : words_(size / 64 + 1), before_(size / 64 + 1) {}
    void set(std::size_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
    void count();
    uint32_t ones_before(uint32_t i) const;
    uint32_t zeros = 0;

   private:
    std::vector<uint64_t> words_;
    std::vector<uint32_t> before_;  // ones in the words before
  };
  uint32_t rank_of(int64_t value) const;  // how many distinct values are smaller
  uint32_t count_below(uint32_t first, uint32_t end, uint32_t rank) const;

  std::vector<int64_t> values_;  // distinct, ascending
  std::vector<Level> levels_;    // the highest bit first
};

}  // namespace fovea::analysis
