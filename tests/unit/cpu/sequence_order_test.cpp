// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/sequence_order.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace fovea::cpu {
namespace {

attention::Problem problem_of(const std::vector<int64_t>& lengths) {
  attention::Problem p;
  p.batch = static_cast<int64_t>(lengths.size());
  p.q_heads = p.kv_heads = 3;
  p.head_dim = p.value_dim = 64;
  for (const int64_t length : lengths) p.sequences.push_back({.q_len = length, .kv_len = length});
  return p;
}

struct Sorted {
  Sorted(const std::vector<int64_t>& lengths, int threads, int64_t most_private_keys = 1 << 20)
      : problem(problem_of(lengths)),
        order(problem, threads, most_private_keys),
        memory(order.bytes() / sizeof(int64_t)) {
    order.sort(memory.data());
  }
  int64_t length(int64_t rank) const {
    return problem.sequence(order.head(rank) / problem.kv_heads).q_len;
  }
  int64_t heads() const { return problem.batch * problem.kv_heads; }

  attention::Problem problem;
  SequenceOrder order;
  std::vector<int64_t> memory;
};

TEST(SequenceOrderTest, EachHeadOnceLongestFirst) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 500; ++i) lengths.push_back(i * i % 97 * (i % 50 == 0 ? 30 : 1));
  for (const int threads : {1, 2, 7, 64}) {
    const Sorted sorted(lengths, threads);
    std::set<int64_t> seen;
    int64_t rank = 0;
    const auto take = [&](int64_t end) {
      for (; rank < end; ++rank) {
        seen.insert(sorted.order.head(rank));
        if (rank > 0) {
          EXPECT_LE(sorted.length(rank), sorted.length(rank - 1));
        }
      }
    };
    take(sorted.order.shared_heads());
    for (int64_t i = 0; i < sorted.order.portions(); ++i) {
      EXPECT_EQ(sorted.order.begin(i), rank);
      take(sorted.order.begin(i + 1));
    }
    EXPECT_EQ(static_cast<int64_t>(seen.size()), sorted.heads());
    EXPECT_EQ(sorted.order.shared_heads() > 0, threads > 1);
  }
}

// 64 x 64 scores of 64 + 64 dimensions take about 10 us.
TEST(SequenceOrderTest, ShortSequencesShareAPortion) {
  const Sorted sorted(std::vector<int64_t>(1000, 64), 2);
  EXPECT_EQ(sorted.order.shared_heads(), 0);
  EXPECT_GE(sorted.order.portions(), 2 * 16);
  EXPECT_LE(sorted.order.portions(), sorted.heads() / 5);
  for (int64_t i = 0; i + 1 < sorted.order.portions(); ++i) {
    EXPECT_GE(sorted.order.begin(i + 1) - sorted.order.begin(i), 5);
  }
}

TEST(SequenceOrderTest, LongHeadsAreShared) {
  const Sorted sorted({30, 5000, 10, 0, 20}, 4);
  EXPECT_EQ(sorted.order.shared_heads(), 3);
  EXPECT_EQ(sorted.order.shared_queries(), 5000);
  EXPECT_EQ(sorted.order.private_keys(), 30);
  EXPECT_EQ(Sorted({30, 5000, 10}, 1).order.shared_heads(), 0);
  EXPECT_EQ(Sorted({30, 20, 10}, 1, 25).order.shared_heads(), 3);
}

TEST(SequenceOrderTest, NothingToDo) {
  EXPECT_EQ(Sorted({}, 2).order.portions(), 0);
  EXPECT_EQ(Sorted({0, 0}, 2).order.portions(), 0);
}

}  // namespace
}  // namespace fovea::cpu
