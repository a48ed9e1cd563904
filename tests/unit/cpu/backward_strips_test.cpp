// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward_strips.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>

namespace fovea::cpu {
namespace {

constexpr int64_t kRows = 40;  // of blocks

struct Column {
  std::vector<BlockRun> full, partial;
};

/// Random kinds of blocks (0 none, 1 partial, 2 full), in runs.
std::vector<std::vector<int>> random_kinds(const Random& random, uint64_t& position,
                                           std::size_t columns) {
  std::vector<std::vector<int>> kinds(columns, std::vector<int>(kRows));
  for (auto& column : kinds) {
    int kind = 0;
    for (int& k : column) {
      if (random.uniform(position++) < 0.3f) {
        kind = static_cast<int>(random.uniform(position++) * 3);
      }
      k = kind;
    }
  }
  return kinds;
}

std::vector<Column> runs_of(const std::vector<std::vector<int>>& kinds) {
  std::vector<Column> columns;
  for (const auto& kind : kinds) {
    Column& column = columns.emplace_back();
    for (int32_t row = 0; row < kRows; ++row) {
      const int k = kind[static_cast<std::size_t>(row)];
      if (k == 0) continue;
      auto& runs = k == 2 ? column.full : column.partial;
      if (!runs.empty() && runs.back().end == row) {
        ++runs.back().end;
      } else {
        runs.push_back({row, row + 1});
      }
    }
  }
  return columns;
}

// Each element in exactly the strips that its block says.
void check(const std::vector<std::vector<int>>& kinds, const std::vector<Column>& columns,
           BlockSize block, int64_t q_len, int64_t keys, bool expect_merged) {
  std::vector<int> seen(static_cast<std::size_t>(q_len * keys), 0);
  std::vector<ColumnRuns> views;
  for (const Column& column : columns) views.push_back({column.full, column.partial});
  StripWalker walker(views, block, q_len, keys);
  int64_t last_row = 0;
  for (auto some = walker.next(); !some.empty(); some = walker.next()) {
    for (const BackwardStrip& strip : some) {
      ASSERT_LT(strip.q_begin, strip.q_end);
      ASSERT_LE(strip.q_end, q_len);
      ASSERT_LT(strip.kv_begin, strip.kv_end);
      ASSERT_LE(strip.kv_end, keys);
      if (expect_merged) {
        ASSERT_GE(strip.q_begin, last_row);
        last_row = strip.q_begin;
      }
      for (int64_t q = strip.q_begin; q < strip.q_end; ++q) {
        for (int64_t kv = strip.kv_begin; kv < strip.kv_end; ++kv) {
          seen[static_cast<std::size_t>(q * keys + kv)] += strip.masked ? 1 : 2;
        }
      }
    }
  }
  for (int64_t q = 0; q < q_len; ++q) {
    for (int64_t kv = 0; kv < keys; ++kv) {
      ASSERT_EQ(
          seen[static_cast<std::size_t>(q * keys + kv)],
          kinds[static_cast<std::size_t>(kv / block.kv)][static_cast<std::size_t>(q / block.q)])
          << q << ", " << kv;
    }
  }
}

TEST(StripWalkerTest, GivesEachBlockOnce) {
  const Random random(3);
  uint64_t position = 0;
  for (const std::size_t count : {1U, 2U, 5U, 16U}) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      const auto kinds = random_kinds(random, position, count);
      auto columns = runs_of(kinds);
      const BlockSize block{3, 2};
      const auto width = static_cast<int64_t>(count) * block.kv;
      check(kinds, columns, block, kRows * block.q, width, true);
      check(kinds, columns, block, kRows * block.q - 1, width - 1, true);  // the last are cut off
      std::reverse(columns.back().full.begin(), columns.back().full.end());
      std::reverse(columns.back().partial.begin(), columns.back().partial.end());
      check(kinds, columns, block, kRows * block.q, width, false);
    }
  }
}

TEST(StripWalkerTest, JoinsColumnsThatAgree) {
  const std::vector<BlockRun> first{{0, 1}}, second{{1, 2}};
  // Causal: column 0 is partial in row 0, column 1 in row 1.
  const std::vector<BlockRun> full0{{1, 8}}, full1{{2, 8}};
  const ColumnRuns columns[] = {{full0, first}, {full1, second}};
  StripWalker walker(columns, {128, 128}, 1024, 256);
  const auto strips = walker.next();
  ASSERT_EQ(strips.size(), 4U);
  EXPECT_TRUE(strips[0].masked);
  EXPECT_FALSE(strips[1].masked);
  EXPECT_EQ(strips[1].kv_end, 128);
  EXPECT_TRUE(strips[2].masked);
  EXPECT_EQ(strips[2].kv_begin, 128);
  EXPECT_FALSE(strips[3].masked);
  EXPECT_EQ(strips[3].q_begin, 256);
  EXPECT_EQ(strips[3].q_end, 1024);
  EXPECT_EQ(strips[3].kv_begin, 0);
  EXPECT_EQ(strips[3].kv_end, 256);
  EXPECT_TRUE(walker.next().empty());
}

}  // namespace
}  // namespace fovea::cpu
