// SPDX-License-Identifier: Apache-2.0
#include "cpu/fma_peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/fail.h"
#include "cpu/isa.h"

namespace fovea::cpu {

#define FOVEA_EACH(name)         \
  namespace name {               \
  extern const FmaLoop kFmaLoop; \
  }
FOVEA_FOR_EACH_BUILT_ISA(FOVEA_EACH)
#undef FOVEA_EACH

namespace {

constexpr int kRuns = 24;
constexpr double kSecondsOfRun = 0.008;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double seconds_of(const FmaLoop& loop, int64_t steps) {
  volatile float sink;
  const double start = now();
  sink = loop.run(steps);
  static_cast<void>(sink);
  return now() - start;
}

// All threads begin each run together; it ends with the last of them.
double best_seconds(const FmaLoop& loop, int threads, int64_t steps) {
  std::atomic<int> ready{0}, done{0};
  std::atomic<int> run{0};
  const auto work = [&](int from) {
    for (int i = from; i < kRuns; ++i) {
      ready.fetch_add(1);
      while (run.load() <= i) std::this_thread::yield();
      seconds_of(loop, steps);
      done.fetch_add(1);
    }
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(work, 0);
  double best = 1e30;
  for (int i = 0; i < kRuns; ++i) {
    while (ready.load() < (threads - 1) * (i + 1)) std::this_thread::yield();
    const double start = now();
    run.store(i + 1);
    seconds_of(loop, steps);
    while (done.load() < (threads - 1) * (i + 1)) std::this_thread::yield();
    best = std::min(best, now() - start);
  }
  for (std::thread& other : others) other.join();
  return best;
}

}  // namespace

const FmaLoop& fma_loop(Isa isa) {
#define FOVEA_EACH(name) \
  if (isa == Isa::name) return name::kFmaLoop;
  FOVEA_FOR_EACH_BUILT_ISA(FOVEA_EACH)
#undef FOVEA_EACH
  fail_not_built("fma_loop", isa);
}

double measure_fma_peak(int threads, Isa isa) {
  core::require(threads >= 1, "measure_fma_peak", "threads must be positive", "1 or more", threads);
  const FmaLoop& loop = fma_loop(isa);
  int64_t steps = 1 << 16;
  for (double t; (t = seconds_of(loop, steps)) < kSecondsOfRun / 2;) {
    steps = static_cast<int64_t>(static_cast<double>(steps) * std::min(8.0, kSecondsOfRun / t));
  }
  const double flops = static_cast<double>(loop.flops_per_step * steps) * threads;
  return flops / best_seconds(loop, threads, steps);
}

}  // namespace fovea::cpu
