// SPDX-License-Identifier: Apache-2.0
#include "analysis/bounds.h"

#include <array>
#include <numeric>

#include <gtest/gtest.h>

#include <fovea/dropout.h>

namespace fovea::analysis {
namespace {

Box plane(int64_t q0, int64_t q1, int64_t kv0, int64_t kv1) {
  return {.q0 = q0, .q1 = q1, .kv0 = kv0, .kv1 = kv1};
}

class Tables {
 public:
  Tables() {
    std::iota(sorted_.begin(), sorted_.end(), 0);
    for (std::size_t i = 0; i < shuffled_.size(); ++i) {
      shuffled_[i] = static_cast<int32_t>(i / 8 * 37 % 64);
      flags_[i] = i >= 256 ? 1 : 0;
    }
    for (std::size_t i = 0; i < floats_.size(); ++i) floats_[i] = static_cast<float>(i);
  }

  // t0: 0, 1, 2, ...; t1: ids in no order, 8 tokens each; t2: bools, t3: 4 x 128 of 0, 1, 2, ...,
  // t4: floats.
  Program parse(const char* text) const {
    TensorView flags = view(flags_.data(), {512});
    flags.dtype = DType::boolean;
    const std::array<TensorView, 5> captures{
        view(sorted_.data(), {512}), view(shuffled_.data(), {512}), flags,
        view(sorted_.data(), {4, 128}), view(floats_.data(), {512})};
    return parse_program(text, captures);
  }

 private:
  std::array<int32_t, 512> sorted_{}, shuffled_{};
  std::array<uint8_t, 512> flags_{};
  std::array<float, 512> floats_{};
};

struct Case {
  const char* text;
  Box box;
  Verdict verdict;
};

void check(std::span<const Case> cases) {
  const Tables tables;
  for (const Case& c : cases) {
    Bounds bounds(tables.parse(c.text));
    EXPECT_EQ(static_cast<int>(bounds.verdict(c.box)), static_cast<int>(c.verdict))
        << c.text << " on q " << c.box.q0 << ".." << c.box.q1 << ", kv " << c.box.kv0 << ".."
        << c.box.kv1;
  }
}

constexpr Verdict kAll = Verdict::all;
constexpr Verdict kNone = Verdict::none;
constexpr Verdict kMixed = Verdict::mixed;

TEST(Bounds, VerdictsOfPlainMasks) {
  const Case kCases[] = {
      {"q >= kv", plane(128, 255, 0, 127), kAll},
      {"q >= kv", plane(128, 255, 0, 128), kAll},
      {"q >= kv", plane(128, 255, 0, 129), kMixed},
      {"q >= kv", plane(0, 127, 128, 255), kNone},
      {"q >= kv && q - kv <= 100", plane(0, 63, 0, 0), kAll},
      {"q >= kv && q - kv <= 100", plane(200, 263, 0, 63), kNone},
      {"q / 32 == kv / 32", plane(32, 63, 32, 63), kAll},
      {"q / 32 == kv / 32", plane(32, 63, 64, 95), kNone},
      {"(q / 16 + kv / 16) % 2 == 0", plane(16, 31, 48, 63), kAll},
      {"q % 96 >= kv % 96", plane(96 + 48, 96 + 95, 192, 192 + 40), kAll},
      {"abs(q - kv) <= 8", plane(10, 12, 14, 18), kAll},
      {"(q & 63) < 16", plane(128, 143, 0, 500), kAll},
      {"where(q < 64, kv < 8, kv > 500)", plane(0, 63, 0, 7), kAll},
      {"where(q < 64, kv < 8, kv > 500)", plane(0, 127, 8, 500), kNone},
      {"f32(abs(q - kv)) * 0.5 < 4.0", plane(0, 3, 0, 3), kAll},
      {"exp(-f32(q)) > 0.5", plane(1, 1000, 0, 0), kNone},
      {"kv < 100 - b", {.b0 = 0, .b1 = 10, .kv0 = 0, .kv1 = 89}, kAll},
  };
  check(kCases);
}

TEST(Bounds, SharedTermsCountOnce) {
  const Case kCases[] = {
      {"q + 1 > q", plane(0, 1000, 0, 0), kAll},
      {"q - kv <= q", plane(0, 1000, 5, 1000), kAll},
      {"kv + q * 2 < q + kv + q", plane(0, 1000, 0, 1000), kNone},
      {"t1[q] + 1 == t1[q]", plane(0, 500, 0, 0), kNone},
      {"(q + kv) - q < 10", plane(0, 1000, 0, 9), kAll},
  };
  check(kCases);
}

TEST(Bounds, CapturedTensors) {
  const Case kCases[] = {
      {"t0[q] >= t0[kv]", plane(128, 255, 0, 127), kAll},
      {"t0[q] >= kv", plane(128, 255, 100, 140), kMixed},
      {"t0[q + 3] == 8", plane(5, 5, 0, 0), kAll},
      {"t2[kv]", plane(0, 0, 256, 511), kAll},
      {"t2[kv]", plane(0, 0, 255, 511), kMixed},
      {"!t2[kv] && t0[q] < 9", plane(0, 8, 0, 255), kAll},
      {"t3[1][kv] >= 128", plane(0, 0, 0, 127), kAll},
      {"t3[b][kv] < 128", {.kv1 = 127}, kAll},
      {"t3[b][kv] < 128", {.b1 = 1, .kv1 = 127}, kMixed},
      {"t4[q] < 10.5", plane(0, 10, 0, 0), kAll},
      {"t0[t0[q]] < 4", plane(0, 3, 0, 0), kAll},
      // Beyond the tensor nothing is known.
      {"t0[q] >= 0", plane(0, 511, 0, 0), kAll},
      {"t0[q] >= 0", plane(0, 512, 0, 0), kMixed},
      {"t0[q - kv] >= 0", plane(5, 5, 5, 6), kMixed},
  };
  check(kCases);
}

// Ids in no order: the ranges overlap, the sets of values do not.
TEST(Bounds, EqualityOfTablesLooksAtTheValues) {
  const Tables tables;
  Bounds bounds(tables.parse("t1[q] == t1[kv]"));
  EXPECT_EQ(bounds.verdict(plane(0, 7, 0, 7)), Verdict::all);
  int64_t decided = 0;
  for (int64_t kv = 16; kv < 512; kv += 16) {
    decided += bounds.verdict(plane(0, 15, kv, kv + 15)) == Verdict::none ? 1 : 0;
  }
  EXPECT_GE(decided, 25);  // of 31
  Bounds differs(tables.parse("t1[q] != t1[kv]"));
  EXPECT_EQ(differs.verdict(plane(0, 7, 0, 7)), Verdict::none);
  EXPECT_EQ(differs.verdict(plane(0, 7, 8, 15)), Verdict::all);
}

TEST(Bounds, IntervalOfTheRootAndOfNodes) {
  const Tables tables;
  const Program program = tables.parse("score + f32(q / 4)");
  Bounds bounds(program);
  EXPECT_TRUE(bounds.at(plane(8, 19, 0, 0)).nan);  // the score may be anything
  for (program::NodeId id = 0; id < program.graph().size(); ++id) {
    if (program.graph()[id].op != program::Op::to_f32) continue;
    EXPECT_EQ(bounds.node(id).flo, 2);
    EXPECT_EQ(bounds.node(id).fhi, 4);
    EXPECT_FALSE(bounds.node(id).nan);
  }
}

TEST(Bounds, OpenAxes) {
  const Tables tables;
  const auto open = [&](const char* text, const Box& box) {
    Bounds bounds(tables.parse(text));
    bounds.at(box);
    return int{bounds.open_axes()};
  };
  EXPECT_EQ(open("q >= kv", plane(0, 63, 0, 63)), kAxisQ | kAxisKv);
  EXPECT_EQ(open("q >= kv", plane(0, 63, 32, 32)), kAxisQ);
  EXPECT_EQ(open("q >= kv", plane(64, 127, 0, 63)), 0);
  EXPECT_EQ(open("q < 9 && q >= kv", plane(100, 127, 0, 200)), 0);
  EXPECT_EQ(open("q > 9 && kv % 2 == 0", plane(100, 127, 0, 200)), kAxisKv);
  EXPECT_EQ(open("t1[q] == t1[kv]", plane(0, 7, 0, 63)), kAxisKv);  // q lies in one document
  EXPECT_EQ(open("where(q < 64, kv % 2 == 0, q % 2 == 0)", plane(0, 63, 0, 63)), kAxisKv);
  EXPECT_EQ(open("t3[b][kv] < 128", {.b1 = 1, .kv1 = 127}), kAxisB | kAxisKv);
}

TEST(Bounds, NarrowAxes) {
  const Tables tables;
  const auto narrow = [&](const char* text, const Box& box) {
    Bounds bounds(tables.parse(text));
    bounds.at(box);
    return int{bounds.narrow_axes()};
  };
  const Box box = plane(0, 63, 0, 63);
  EXPECT_EQ(narrow("q >= kv", box), kAxisQ | kAxisKv);
  EXPECT_EQ(narrow("q >= kv && q % 2 == 0", box), kAxisQ);
  EXPECT_EQ(narrow("!(q >= kv || kv % 2 == 0)", box), kAxisKv);
  EXPECT_EQ(narrow("q >= 0 && kv % 2 == 0", box), kAxisKv);
}

TEST(Bounds, CloneRunsBesideTheOriginal) {
  const Tables tables;
  Bounds bounds(tables.parse("t0[q] >= t0[kv]"));
  EXPECT_EQ(bounds.verdict(plane(128, 255, 0, 127)), Verdict::all);
  Bounds clone = bounds.clone();
  EXPECT_EQ(clone.verdict(plane(0, 127, 128, 255)), Verdict::none);
  EXPECT_EQ(bounds.verdict(plane(128, 255, 0, 127)), Verdict::all);
}

TEST(CheckRanges, FindsIntegersBeyond32Bits) {
  const Tables tables;
  const auto wide = [&](const char* text, int64_t length) {
    return check_ranges(tables.parse(text), plane(0, length - 1, 0, length - 1), "test")
        .needs_64_bits;
  };
  EXPECT_FALSE(wide("q * kv > 5", 1 << 15));
  EXPECT_TRUE(wide("q * kv > 5", 1 << 17));
  EXPECT_TRUE(wide("q * 100000 * 100000 > 5", 100));
  EXPECT_FALSE(wide("t0[kv] + 7 < q", 512));  // the values are looked at: none is large
  EXPECT_FALSE(wide("t0[q] == t0[kv]", 512));
}

TEST(CheckRanges, ReadsIndicesOfIndices) {
  const Tables tables;
  const auto may_leave = [&](const char* text, int64_t length) {
    const RangeCheck check =
        check_ranges(tables.parse(text), plane(0, length - 1, 0, length - 1), "test");
    return std::count(check.may_leave_range.begin(), check.may_leave_range.end(), true);
  };
  EXPECT_EQ(may_leave("t0[t0[q]] > 3", 512), 0);
  EXPECT_EQ(may_leave("t0[t0[q] + 1] > 3", 512), 1);
  EXPECT_EQ(may_leave("t0[t0[q] + 1] > 3", 500), 0);
  EXPECT_EQ(may_leave("t0[q - kv] > 3", 512), 1);
  EXPECT_EQ(may_leave("t0[q - kv + 511] > 3", 256), 1);
  EXPECT_EQ(may_leave("t0[q - kv + 255] > 3", 256), 0);
  EXPECT_EQ(may_leave("t0[i32(t4[q])] > 3", 512), 0);
}

TEST(CheckRanges, AnEmptyBoxProvesNothing) {
  const Tables tables;
  const RangeCheck check =
      check_ranges(tables.parse("t0[q + 9999] > 3"), plane(0, -1, 0, 9), "test");
  EXPECT_FALSE(check.needs_64_bits);
}

// An index that the result does not depend on for every element is left to the run.
TEST(CheckRanges, RandomBitsFitWhateverTheyAreMadeFrom) {
  const int64_t seed = INT64_MIN, offset = INT64_MAX;
  const Program mod = dropout(0.5, view(&seed, Dims{}), view(&offset, Dims{}));
  const RangeCheck check = check_ranges(mod, plane(0, 1 << 20, 0, 1 << 20), "test");
  EXPECT_FALSE(check.needs_64_bits);
  EXPECT_FALSE(check.reads_captures);
}

TEST(CheckRanges, OperandsThatMayNotMatterAreNoErrors) {
  const Tables tables;
  for (const char* text : {"where(q < 600, q > 3, t0[q + 600] > 3)", "q >= kv || t0[q + 600] > 3",
                           "q >= kv && t0[q + 600] > 3", "where(kv > 0, true, t0[q + 600] > 3)"}) {
    const RangeCheck check = check_ranges(tables.parse(text), plane(0, 99, 0, 99), "test");
    EXPECT_EQ(std::count(check.may_leave_range.begin(), check.may_leave_range.end(), true), 1)
        << text;
  }
}

}  // namespace
}  // namespace fovea::analysis
