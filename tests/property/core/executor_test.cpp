// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/executor.h>
#include <fovea/random.h>

namespace fovea {
namespace {

// Jobs of random size, work, nesting and failure: each task runs once, or the job throws.
class RandomJobs {
 public:
  RandomJobs(Executor& pool, uint64_t seed) : pool_(pool), random_(seed) {}

  void run(int jobs) {
    for (int i = 0; i < jobs; ++i) job();
  }
  std::string fault;  // the first thing that was wrong

 private:
  int64_t draw(int64_t limit) { return random_.below(next_++, limit); }

  void job() {
    const int64_t count = draw(4) == 0 ? draw(3) : draw(60);
    const int64_t failing = draw(4) == 0 ? draw(60) : -1;
    const int64_t work = draw(200);
    const bool nested = draw(4) == 0;
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
    std::atomic<bool> bad_worker{false};
    const auto task = [&](int64_t i, int worker) {
      if (worker < 0 || worker >= pool_.num_threads()) bad_worker = true;
      ++runs[static_cast<std::size_t>(i)];
      if (nested) {
        pool_.parallel(3, [&](int64_t, int inner) {
          if (inner != worker) bad_worker = true;
        });
      }
      volatile int64_t sink = 0;
      for (int64_t k = 0; k < work; ++k) sink = sink + k;
      if (i == failing) throw std::runtime_error("chosen");
    };
    bool threw = false;
    try {
      pool_.parallel(count, task);
    } catch (const std::runtime_error&) {
      threw = true;
    }
    if (threw != (failing >= 0 && failing < count)) fault = "an exception was lost or invented";
    if (bad_worker) fault = "a worker was out of range or changed";
    for (const auto& run : runs) {
      if (run > 1 || (!threw && run != 1)) fault = "a task ran " + std::to_string(run) + " times";
    }
  }

  Executor& pool_;
  const Random random_;
  uint64_t next_ = 0;
};

TEST(ExecutorProperty, RandomJobsOfOneCaller) {
  for (const int threads : {1, 2, 3, 7}) {
    const auto pool = make_thread_pool(threads);
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      RandomJobs jobs(*pool, seed);
      jobs.run(60);
      EXPECT_EQ(jobs.fault, "") << threads << " threads, seed " << seed;
    }
  }
}

TEST(ExecutorProperty, RandomJobsOfManyCallers) {
  const auto pool = make_thread_pool(3);
  std::vector<RandomJobs> callers;
  for (uint64_t seed = 1; seed <= 4; ++seed) callers.emplace_back(*pool, seed);
  std::vector<std::thread> threads;
  for (RandomJobs& caller : callers) threads.emplace_back([&caller] { caller.run(60); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < callers.size(); ++i) {
    EXPECT_EQ(callers[i].fault, "") << "seed " << i + 1;
  }
}

}  // namespace
}  // namespace fovea
