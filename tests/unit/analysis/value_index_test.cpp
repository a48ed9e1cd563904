// SPDX-License-Identifier: Apache-2.0
#include "analysis/value_index.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/block_mask.h>
#include <fovea/random.h>
#include "analysis/range_table.h"

namespace fovea::analysis {
namespace {

void check_all(const TensorView& tensor, const std::vector<int64_t>& values) {
  const ValueIndex index(tensor);
  const auto n = static_cast<int64_t>(values.size());
  for (int64_t first = 0; first < n; ++first) {
    for (int64_t last = first; last < n; last += 1 + last / 5) {
      for (int64_t lo = -3; lo <= 12; ++lo) {
        for (const int64_t hi : {lo - 1, lo, lo + 1, lo + 4}) {
          const bool expected =
              std::any_of(values.begin() + first, values.begin() + last + 1,
                          [&](int64_t value) { return lo <= value && value <= hi; });
          ASSERT_EQ(index.holds(first, last, lo, hi), expected)
              << n << " values, " << first << ".." << last << " for " << lo << ".." << hi;
        }
      }
    }
  }
}

TEST(ValueIndex, FindsWhatIsThere) {
  for (const int64_t n : {1, 2, 3, 63, 64, 65, 130}) {
    for (const int64_t distinct : {1, 2, 3, 8, 9}) {
      std::vector<int64_t> values(static_cast<std::size_t>(n));
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<int64_t>(Random(3).below(i, distinct)) * 2 - 2;
      }
      check_all(view(values.data(), {n}), values);
    }
  }
}

TEST(ValueIndex, AnyTypeAndStrides) {
  const std::vector<int8_t> data = {5, -1, 0, 9, 2, 2, -2, 7, 1, 1, 3, 4};
  const TensorView turned = view(data.data(), {4, 3}, {1, 4});
  std::vector<int64_t> values;
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < 3; ++j) values.push_back(data[static_cast<std::size_t>(j * 4 + i)]);
  }
  check_all(turned, values);
}

TEST(ValueIndex, EndsOfTheRange) {
  const std::vector<int64_t> data = {INT64_MIN, 0, INT64_MAX};
  const ValueIndex index(view(data.data(), {3}));
  EXPECT_TRUE(index.holds(2, 2, INT64_MAX, INT64_MAX));
  EXPECT_TRUE(index.holds(0, 0, INT64_MIN, INT64_MIN));
  EXPECT_FALSE(index.holds(0, 2, 1, INT64_MAX - 1));
  EXPECT_FALSE(index.holds(1, 1, INT64_MIN, -1));
}

}  // namespace
}  // namespace fovea::analysis
