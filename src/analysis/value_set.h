// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

/// A set of integers in a few words, to prove two sets disjoint. It tells ids in no order apart, whose
/// ranges overlap. Up to kFew values are kept one by one (by their low 32 bits); beyond, each is one bit
/// of 256, by a hash.
namespace fovea::analysis {

class ValueSet {
 public:
  static constexpr std::size_t kFew = 8;

  static ValueSet any() noexcept {
    ValueSet set;
    set.bits_.fill(~uint64_t{0});
    set.count_ = kMany;
    return set;
  }
  static ValueSet of(int64_t value) noexcept {
    ValueSet set;
    set.add(value);
    return set;
  }

  void add(int64_t value) noexcept { add_low(static_cast<uint32_t>(value)); }
  void add(const ValueSet& other) noexcept {
    if (other.count_ == kMany) {
      for (std::size_t i = 0; i < bits_.size(); ++i) bits_[i] |= other.bits_[i];
      forget_values();
      return;
    }
    for (uint8_t i = 0; i < other.count_; ++i) add_low(other.few_[i]);
  }

  /// False only if the sets have no value in common.
  bool intersects(const ValueSet& other) const noexcept {
    uint64_t common = 0;
    for (std::size_t i = 0; i < bits_.size(); ++i) common |= bits_[i] & other.bits_[i];
    if (common == 0) return false;
    if (count_ == kMany || other.count_ == kMany) return true;
    for (uint8_t i = 0, j = 0; i < count_ && j < other.count_;) {
      if (few_[i] == other.few_[j]) return true;
      ++(few_[i] < other.few_[j] ? i : j);
    }
    return false;
  }
  friend bool operator==(const ValueSet&, const ValueSet&) = default;

 private:
  static constexpr uint8_t kMany = 255;

  void forget_values() noexcept {
    count_ = kMany;
    few_.fill(0);
  }
  void add_low(uint32_t low) noexcept {
    const uint64_t hash = low * uint64_t{0x9e3779b97f4a7c15};
    bits_[hash >> 62] |= uint64_t{1} << ((hash >> 56) & 63);
    if (count_ == kMany) return;
    uint8_t at = 0;
    while (at < count_ && few_[at] < low) ++at;
    if (at < count_ && few_[at] == low) return;
    if (count_ == kFew) return forget_values();
    for (uint8_t i = count_; i > at; --i) few_[i] = few_[i - 1U];
    few_[at] = low;
    ++count_;
  }

  std::array<uint64_t, 4> bits_{};
  std::array<uint32_t, kFew> few_{};  // ascending; zeros behind them, and if there are many
  uint8_t count_ = 0;
};

}  // namespace fovea::analysis
