// SPDX-License-Identifier: Apache-2.0
#include "analysis/range_table.h"

#include <gtest/gtest.h>

#include <fovea/random.h>
#include "program/interpret.h"
#include "property/program/random_tables.h"

namespace fovea::analysis {
namespace {

bool is_float(const TensorView& tensor) { return is_floating(tensor.dtype); }

// Element by element, through the interpreter's own reading.
std::vector<Literal> elements(const TensorView& tensor) {
  std::vector<Literal> all;
  std::vector<int64_t> index(static_cast<std::size_t>(tensor.rank()), 0);
  for (int64_t position = 0; position < tensor.numel(); ++position) {
    int64_t rest = position;
    for (int d = tensor.rank() - 1; d >= 0; --d) {
      index[static_cast<std::size_t>(d)] = rest % tensor.size(d);
      rest /= tensor.size(d);
    }
    all.push_back(program::read_element(tensor, index));
  }
  return all;
}

void check_ints(const TensorView& tensor, std::span<const Literal> all) {
  const Pyramid<IntSummary> pyramid(tensor);
  for (std::size_t first = 0; first < all.size(); ++first) {
    IntRange expected{all[first].i, all[first].i};
    ValueSet set;
    for (std::size_t last = first; last < all.size(); ++last) {
      expected = interval::hull(expected, {all[last].i, all[last].i});
      set.add(all[last].i);
      const auto i = static_cast<int64_t>(first);
      const auto j = static_cast<int64_t>(last);
      const IntSummary got = pyramid.query(i, j);
      const IntRange scanned = scan_ints(tensor, i, j);
      ASSERT_EQ(got.lo, expected.lo) << i << ".." << j;
      ASSERT_EQ(got.hi, expected.hi) << i << ".." << j;
      ASSERT_TRUE(got.set == set) << i << ".." << j;
      ASSERT_EQ(scanned.lo, expected.lo);
      ASSERT_EQ(scanned.hi, expected.hi);
    }
  }
}

void check_floats(const TensorView& tensor, std::span<const Literal> all) {
  const Pyramid<FloatRange> pyramid(tensor);
  for (std::size_t first = 0; first < all.size(); ++first) {
    FloatRange expected{interval::kInfinity, -interval::kInfinity, false};
    for (std::size_t last = first; last < all.size(); ++last) {
      const double value = all[last].f;
      expected.nan |= std::isnan(value);
      if (!std::isnan(value)) expected = interval::hull(expected, {value, value, false});
      const FloatRange got = pyramid.query(static_cast<int64_t>(first), static_cast<int64_t>(last));
      ASSERT_EQ(got.lo, expected.lo);
      ASSERT_EQ(got.hi, expected.hi);
      ASSERT_EQ(got.nan, expected.nan);
    }
  }
}

TEST(RangeTable, EveryIntervalOfEveryKindOfTensor) {
  for (const auto& [name, tensor] : test::RandomTables::get().all()) {
    SCOPED_TRACE(name);
    const auto all = elements(tensor);
    if (is_float(tensor)) {
      check_floats(tensor, all);
    } else {
      check_ints(tensor, all);
    }
  }
}

TEST(RangeTable, EveryIntervalOfManyLengths) {
  std::vector<int64_t> values(300);
  const Random random(11);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.below(i, 1000) - 500;
  for (const int64_t length : {1, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 127, 160, 255, 300}) {
    const TensorView tensor = view(values.data(), {length});
    check_ints(tensor, elements(tensor));
  }
}

TEST(RangeTable, NanAndInfinity) {
  std::vector<float> values(40, 1.0F);
  values[20] = NAN;
  values[33] = INFINITY;
  const TensorView tensor = view(values.data(), {40});
  check_floats(tensor, elements(tensor));
}

TEST(RangeTable, ReadsElementsAsTheInterpreterDoes) {
  const std::vector<double> values{0.1, -1e300};
  const TensorView tensor = view(values.data(), {2});
  EXPECT_EQ(load_float(tensor, 0), 0.1);
  EXPECT_EQ(load_float(tensor, 1), -1e300);
  const std::vector<uint8_t> bytes{0, 2};
  TensorView bools = view(bytes.data(), {2});
  bools.dtype = DType::boolean;
  EXPECT_EQ(load_int(bools, 0), 0);
  EXPECT_EQ(load_int(bools, 1), 1);  // any byte but 0 is true
}

ValueSet set_of(int64_t first, int64_t last) {
  ValueSet set;
  for (int64_t value = first; value <= last; ++value) set.add(value);
  return set;
}

TEST(ValueSet, OfFewValuesIsExact) {
  EXPECT_FALSE(ValueSet().intersects(ValueSet::any()));
  EXPECT_TRUE(set_of(-3, 4).intersects(set_of(4, 9)));
  EXPECT_TRUE(ValueSet::any().intersects(ValueSet::of(-1)));
  for (int64_t value = 8; value < 2000; ++value) {
    ASSERT_FALSE(set_of(0, 7).intersects(ValueSet::of(value))) << value;
    ASSERT_FALSE(set_of(0, 7).intersects(set_of(value, value + 7))) << value;
  }
}

TEST(ValueSet, OfManyValuesIsMostlyDisjoint) {
  EXPECT_TRUE(set_of(-30, 7).intersects(set_of(7, 9)));
  int64_t separate = 0;
  for (int64_t value = 20; value < 1020; ++value) {
    separate += set_of(0, 8).intersects(ValueSet::of(value)) ? 0 : 1;
  }
  EXPECT_GT(separate, 900);
}

TEST(ValueSet, IsTheSameInAnyOrderOfAdding) {
  const Random random(5);
  for (uint64_t round = 0; round < 200; ++round) {
    std::vector<int64_t> values(round % 20);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.below(round * 32 + i, 15);
    ValueSet forward, backward, first_half, second_half;
    for (std::size_t i = 0; i < values.size(); ++i) {
      forward.add(values[i]);
      backward.add(values[values.size() - 1 - i]);
      (i < values.size() / 2 ? first_half : second_half).add(values[i]);
    }
    first_half.add(second_half);
    ASSERT_TRUE(forward == backward) << round;
    ASSERT_TRUE(forward == first_half) << round;
  }
}

TEST(RangeTable, TablesAreBuiltOnceAndShared) {
  const std::vector<int32_t> ids{3, 1, 4, 1, 5};
  const std::vector<TensorView> captures{view(ids.data(), {5})};
  RangeTables tables(captures);
  const auto& first = tables.ints(0);
  EXPECT_EQ(&first, &tables.ints(0));
  EXPECT_EQ(first.query(1, 3).hi, 4);
}

}  // namespace
}  // namespace fovea::analysis
