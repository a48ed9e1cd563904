// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

/// A set of integers, as one bit of 256 for each, by a hash: two sets without a common bit are
/// disjoint. It tells ids in no order apart, whose ranges overlap.
namespace fovea::analysis {

class ValueSet {
 public:
  static ValueSet any() noexcept {
    ValueSet set;
    set.words_.fill(~uint64_t{0});
    return set;
  }
  static ValueSet of(int64_t value) noexcept {
    ValueSet set;
    set.add(value);
    return set;
  }

  void add(int64_t value) noexcept {
    const uint64_t hash = static_cast<uint64_t>(value) * 0x9e3779b97f4a7c15U;
    words_[hash >> 62] |= uint64_t{1} << ((hash >> 56) & 63);
  }
  void add(const ValueSet& other) noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  bool intersects(const ValueSet& other) const noexcept {
    uint64_t common = 0;
    for (std::size_t i = 0; i < words_.size(); ++i) common |= words_[i] & other.words_[i];
    return common != 0;
  }
  friend bool operator==(const ValueSet&, const ValueSet&) = default;

 private:
  std::array<uint64_t, 4> words_{};
};

}  // namespace fovea::analysis
