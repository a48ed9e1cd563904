// SPDX-License-Identifier: Apache-2.0
#include "torch_executor.h"

#include <atomic>

#include <ATen/Parallel.h>

namespace fovea::torch {

int TorchExecutor::num_threads() const noexcept { return at::get_num_threads(); }

void TorchExecutor::parallel(int64_t count, TaskRef task) {
  const int threads = num_threads();
  if (threads <= 1 || count <= 1 || at::in_parallel_region()) {
    for (int64_t i = 0; i < count; ++i) task(i, 0);
    return;
  }
  // Tasks differ in length: each thread takes the next one, instead of a fixed share.
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      while (!failed.load(std::memory_order_relaxed)) {
        const int64_t i = next.fetch_add(1, std::memory_order_relaxed);
        if (i >= count) break;
        try {
          task(i, static_cast<int>(worker));
        } catch (...) {
          failed.store(true, std::memory_order_relaxed);
          throw;  // parallel_for hands it on
        }
      }
    }
  });
}

Executor& torch_executor() {
  static TorchExecutor executor;
  return executor;
}

}  // namespace fovea::torch
