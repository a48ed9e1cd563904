// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/turns.h"

#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/executor.h>

namespace fovea::cpu {
namespace {

TEST(Turns, EachLineIsInOrderForAnyNumberOfThreads) {
  constexpr int64_t kLines = 3, kTasks = 3000;
  for (const int threads : {1, 2, 7}) {
    Turns turns(kLines);
    std::vector<std::vector<int64_t>> seen(kLines);
    make_thread_pool(threads)->parallel(kTasks, [&](int64_t task, int) {
      Turns::Turn turn(turns, {.line = task % kLines, .number = task / kLines});
      turn.wait();
      seen[static_cast<std::size_t>(task % kLines)].push_back(task / kLines);
      if (task % 2 == 0) turn.end();
    });
    for (const auto& line : seen) {
      ASSERT_EQ(line.size(), static_cast<std::size_t>(kTasks / kLines));
      for (std::size_t i = 0; i < line.size(); ++i) EXPECT_EQ(line[i], static_cast<int64_t>(i));
    }
  }
}

TEST(Turns, ATurnThatThrowsLetsTheOthersGo) {
  Turns turns(1);
  const auto pool = make_thread_pool(4);
  EXPECT_THROW(pool->parallel(100,
                              [&](int64_t task, int) {
                                const Turns::Turn turn(turns, {.line = 0, .number = task});
                                if (task == 40) throw std::runtime_error("task 40");
                                turn.wait();
                              }),
               std::runtime_error);
}

}  // namespace
}  // namespace fovea::cpu
