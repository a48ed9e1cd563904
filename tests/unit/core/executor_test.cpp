// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include <fovea/executor.h>

namespace fovea {
namespace {

class ExecutorTest : public testing::TestWithParam<int> {};

TEST_P(ExecutorTest, RunsEachTaskOnceWithAValidWorker) {
  const auto pool = make_thread_pool(GetParam());
  EXPECT_EQ(pool->num_threads(), GetParam());
  for (const int64_t count : {0, 1, 2, 5, 1000}) {
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
    std::atomic<bool> bad_worker{false};
    pool->parallel(count, [&](int64_t task, int worker) {
      ++runs[static_cast<std::size_t>(task)];
      if (worker < 0 || worker >= GetParam()) bad_worker = true;
    });
    for (const auto& run : runs) EXPECT_EQ(run, 1);
    EXPECT_FALSE(bad_worker);
  }
}

TEST_P(ExecutorTest, NoWorkerRunsTwoTasksAtOnce) {
  const auto pool = make_thread_pool(GetParam());
  std::vector<std::atomic<int>> busy(static_cast<std::size_t>(GetParam()));
  std::atomic<bool> clash{false};
  pool->parallel(200, [&](int64_t, int worker) {
    auto& mine = busy[static_cast<std::size_t>(worker)];
    if (mine.fetch_add(1) != 0) clash = true;
    std::this_thread::yield();
    mine.fetch_sub(1);
  });
  EXPECT_FALSE(clash);
}

TEST_P(ExecutorTest, RethrowsAnExceptionAndGoesOnWorking) {
  const auto pool = make_thread_pool(GetParam());
  const auto failing = [&](int64_t task, int) {
    if (task == 3) throw std::runtime_error("task 3");
  };
  // More tasks than could ever be run: this ends because the rest is not started.
  try {
    pool->parallel(int64_t{1} << 50, failing);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "task 3");
  }
  std::atomic<int> after{0};
  pool->parallel(10, [&](int64_t, int) { ++after; });
  EXPECT_EQ(after, 10);
}

TEST_P(ExecutorTest, ANestedCallRunsSeriallyOnItsWorker) {
  const auto pool = make_thread_pool(GetParam());
  std::atomic<int> runs{0};
  std::atomic<bool> moved{false};
  pool->parallel(8, [&](int64_t, int outer) {
    int64_t expected = 0;
    pool->parallel(5, [&](int64_t task, int inner) {
      if (inner != outer || task != expected++) moved = true;
      ++runs;
    });
  });
  EXPECT_EQ(runs, 40);
  EXPECT_FALSE(moved);
}

TEST_P(ExecutorTest, ServesSeveralCallersAtOnce) {
  const auto pool = make_thread_pool(GetParam());
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int j = 0; j < 50; ++j) pool->parallel(20, [&](int64_t task, int) { sum += task; });
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 50 * 190);
}

TEST_P(ExecutorTest, WakesAgainAfterAPause) {
  const auto pool = make_thread_pool(GetParam());
  for (int i = 0; i < 5; ++i) {
    std::atomic<int> runs{0};
    pool->parallel(50, [&](int64_t, int) { ++runs; });
    EXPECT_EQ(runs, 50);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
}

TEST_P(ExecutorTest, HandsTasksOutInAscendingOrder) {
  const auto pool = make_thread_pool(GetParam());
  std::vector<int64_t> last(static_cast<std::size_t>(GetParam()), -1);  // one entry a worker
  std::atomic<bool> descended{false};
  pool->parallel(5000, [&](int64_t task, int worker) {
    int64_t& before = last[static_cast<std::size_t>(worker)];
    if (task <= before) descended = true;
    before = task;
  });
  EXPECT_FALSE(descended);
}

TEST_P(ExecutorTest, TheOnlyTaskIsATaskToo) {
  const auto pool = make_thread_pool(GetParam());
  std::atomic<bool> moved{false};
  pool->parallel(1, [&](int64_t, int outer) {
    pool->parallel(50, [&](int64_t, int inner) {
      if (inner != outer) moved = true;
    });
  });
  EXPECT_FALSE(moved);
}

TEST_P(ExecutorTest, AnExceptionOfANestedCallReachesTheOuterCaller) {
  const auto pool = make_thread_pool(GetParam());
  const auto nested = [&](int64_t task, int) {
    pool->parallel(3, [&](int64_t inner, int) {
      if (task == 1 && inner == 2) throw std::runtime_error("inner");
    });
  };
  EXPECT_THROW(pool->parallel(4, nested), std::runtime_error);
  // The thread that threw is in no task any more: it takes part again.
  std::atomic<int> runs{0};
  pool->parallel(100, [&](int64_t, int) { ++runs; });
  EXPECT_EQ(runs, 100);
}

TEST_P(ExecutorTest, ManyShortJobsOneAfterAnother) {
  const auto pool = make_thread_pool(GetParam());
  int64_t plain = 0;  // written by one task a job: the end of a job orders it before the next
  for (int i = 0; i < 3000; ++i) {
    pool->parallel(3, [&](int64_t task, int) {
      if (task == i % 3) ++plain;
    });
  }
  EXPECT_EQ(plain, 3000);
}

INSTANTIATE_TEST_SUITE_P(Threads, ExecutorTest, testing::Values(1, 2, 3, 7));

TEST(ThreadPoolTest, ATaskThatCallsAnotherPoolIsAValidWorkerThere) {
  const auto large = make_thread_pool(7);
  const auto small = make_thread_pool(2);
  std::atomic<bool> bad_worker{false};
  large->parallel(200, [&](int64_t, int) {
    small->parallel(3, [&](int64_t, int worker) {
      if (worker < 0 || worker >= 2) bad_worker = true;
    });
    std::this_thread::yield();
  });
  EXPECT_FALSE(bad_worker);
}

TEST(ThreadPoolTest, NobodyWaitsForAWorkerThatHasNothingToDo) {
  const auto pool = make_thread_pool(3);
  for (int i = 0; i < 200; ++i) {
    std::atomic<int> runs{0};
    pool->parallel(2, [&](int64_t, int) { ++runs; });
    ASSERT_EQ(runs, 2);
  }
}

TEST(ThreadPoolTest, EndsWhileItsWorkersSleep) {
  const auto pool = make_thread_pool(4);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST(ThreadPoolTest, NeedsAThread) {
  try {
    make_thread_pool(0);
    FAIL() << "no error";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(),
                 "[make_thread_pool] threads must be positive: expected at least 1, got 0");
  }
}

TEST(ThreadPoolTest, TheDefaultExecutorIsOneObject) {
  EXPECT_EQ(&default_executor(), &default_executor());
  EXPECT_GE(default_executor().num_threads(), 1);
}

}  // namespace
}  // namespace fovea
