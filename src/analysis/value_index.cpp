// SPDX-License-Identifier: Apache-2.0
#include "analysis/value_index.h"

#include <algorithm>
#include <bit>

#include "analysis/range_table.h"

namespace fovea::analysis {

void ValueIndex::Level::count() {
  uint32_t total = 0;
  for (std::size_t w = 0; w < words_.size(); ++w) {
    before_[w] = total;
    total += static_cast<uint32_t>(std::popcount(words_[w]));
  }
}

uint32_t ValueIndex::Level::ones_before(uint32_t i) const {
  const uint64_t below = (uint64_t{1} << (i % 64)) - 1;
  return before_[i / 64] + static_cast<uint32_t>(std::popcount(words_[i / 64] & below));
}

ValueIndex::ValueIndex(const TensorView& tensor) {
  const std::vector<int64_t> elements = load_ints(tensor);
  values_ = elements;
  std::sort(values_.begin(), values_.end());
  values_.erase(std::unique(values_.begin(), values_.end()), values_.end());
  values_.shrink_to_fit();

  std::vector<uint32_t> ranks(elements.size()), ones;
  std::transform(elements.begin(), elements.end(), ranks.begin(),
                 [this](int64_t value) { return rank_of(value); });
  for (int bit = static_cast<int>(std::bit_width(values_.size())); bit-- > 0;) {
    Level level(ranks.size());
    ones.clear();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      if ((ranks[i] >> bit & 1) != 0) {
        level.set(i);
        ones.push_back(ranks[i]);
      } else {
        ranks[kept++] = ranks[i];
      }
    }
    std::copy(ones.begin(), ones.end(), ranks.begin() + static_cast<std::ptrdiff_t>(kept));
    level.zeros = static_cast<uint32_t>(kept);
    level.count();
    levels_.push_back(std::move(level));
  }
}

bool ValueIndex::holds(int64_t first, int64_t last, int64_t lo, int64_t hi) const {
  if (lo > hi) return false;
  const uint32_t begin = rank_of(lo);
  const uint32_t end = hi == INT64_MAX ? static_cast<uint32_t>(values_.size()) : rank_of(hi + 1);
  if (begin == end) return false;
  const auto from = static_cast<uint32_t>(first), to = static_cast<uint32_t>(last + 1);
  return count_below(from, to, begin) < count_below(from, to, end);
}

uint32_t ValueIndex::rank_of(int64_t value) const {
  return static_cast<uint32_t>(std::lower_bound(values_.begin(), values_.end(), value) -
                               values_.begin());
}

// `rank` may be the number of distinct values: the levels have a bit more than the ranks need.
uint32_t ValueIndex::count_below(uint32_t first, uint32_t end, uint32_t rank) const {
  uint32_t count = 0;
  int bit = static_cast<int>(levels_.size());
  for (const Level& level : levels_) {
    --bit;
    const uint32_t ones_first = level.ones_before(first), ones_end = level.ones_before(end);
    if ((rank >> bit & 1) != 0) {
      count += (end - first) - (ones_end - ones_first);
      first = level.zeros + ones_first;
      end = level.zeros + ones_end;
    } else {
      first -= ones_first;
      end -= ones_end;
    }
  }
  return count;
}

}  // namespace fovea::analysis
