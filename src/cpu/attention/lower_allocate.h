// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

/// Slots of one place, reused as soon as their value is dead.
namespace fovea::cpu::lowering {

class SlotAllocator {
 public:
  int32_t take() {
    if (free_.empty()) return count_++;
    const int32_t slot = free_.back();  // the latest given back: it is still in the cache
    free_.pop_back();
    return slot;
  }
  int32_t take_fresh() {
    return count_++;
  }  // of a value that exists before the phase's first instruction
  void give_back(int32_t slot) { free_.push_back(slot); }
  int32_t count() const noexcept { return count_; }

 private:
  std::vector<int32_t> free_;
  int32_t count_ = 0;
};

}  // namespace fovea::cpu::lowering
