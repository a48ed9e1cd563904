// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <fovea/executor.h>
#include "core/config.h"
#include "core/fail.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fovea {
namespace {

// How often a waiting thread looks before it sleeps: about 30 us. Small calls come in bursts, and
// waking a thread costs more than many of them.
constexpr int kSpins = 1200;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Which pool this thread works for, and as which worker: a nested call runs serially there.
thread_local int current_worker = -1;

struct Job {
  Job(int64_t tasks, TaskRef run) : count(tasks), task(run) {}
  const int64_t count;
  const TaskRef task;
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;

  void work(int worker) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      try {
        task(i, worker);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        next.store(count, std::memory_order_relaxed);  // the rest is not started
      }
    }
  }
};

class ThreadPool final : public Executor {
 public:
  explicit ThreadPool(int threads) : threads_(threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  }
  ~ThreadPool() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  int num_threads() const noexcept override { return threads_; }

  void parallel(int64_t count, TaskRef task) override {
    if (count <= 0) return;
    if (threads_ == 1 || count == 1 || current_worker >= 0) return run_here(count, task);
    // One job at a time: a second caller waits its turn.
    const std::lock_guard turn(callers_);
    Job job(count, task);
    start(job);
    current_worker = 0;
    job.work(0);
    current_worker = -1;
    finish();
    if (job.error) std::rethrow_exception(job.error);
  }

 private:
  static void run_here(int64_t count, TaskRef task) {
    const int worker = current_worker >= 0 ? current_worker : 0;
    for (int64_t i = 0; i < count; ++i) task(i, worker);
  }

  void start(Job& job) {
    bool asleep;
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      busy_.store(threads_ - 1, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
      asleep = sleeping_ > 0;
    }
    if (asleep) wake_.notify_all();
  }

  // Every worker has taken notice of the job and left it before it goes out of scope.
  void finish() {
    for (int spin = 0; busy_.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < kSpins * 4) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
  }

  void serve(int worker) {
    current_worker = worker;
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen;
           ++spin) {
        relax();
      }
      Job* job;
      {
        std::unique_lock lock(mutex_);
        ++sleeping_;
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
        --sleeping_;
        seen = generation_.load(std::memory_order_relaxed);
        if (stop_) return;
        job = job_;
      }
      job->work(worker);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex callers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  Job* job_ = nullptr;
  int sleeping_ = 0;
  bool stop_ = false;
};

}  // namespace

Executor::~Executor() = default;

std::unique_ptr<Executor> make_thread_pool(int threads) {
  core::require(threads >= 1, "make_thread_pool", "threads must be positive", "at least 1",
                threads);
  return std::make_unique<ThreadPool>(threads);
}

Executor& default_executor() {
  static ThreadPool pool(core::num_threads());
  return pool;
}

}  // namespace fovea
