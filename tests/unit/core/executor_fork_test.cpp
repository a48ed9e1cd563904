// SPDX-License-Identifier: Apache-2.0
#if defined(__unix__) || defined(__APPLE__)

#include <atomic>
#include <chrono>
#include <signal.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fovea/executor.h>

namespace fovea {
namespace {

// The exit status of the child, or -1 if it does not end.
int status_of(pid_t child) {
  for (int i = 0; i < 3000; ++i) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return -1;
}

TEST(ThreadPoolFork, TheChildDoesAllWorkItselfAndEnds) {
  auto pool = make_thread_pool(3);
  std::atomic<int> runs{0};
  const auto count = [&](int64_t, int) { ++runs; };
  pool->parallel(100, count);

  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    pool->parallel(100, count);
    pool.reset();
    _exit(runs == 200 ? 0 : 1);
  }
  EXPECT_EQ(status_of(child), 0);
  pool->parallel(100, count);
  EXPECT_EQ(runs, 200);
}

}  // namespace
}  // namespace fovea

#endif
