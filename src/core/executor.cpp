// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <fovea/executor.h>
#include "core/config.h"
#include "core/fail.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace fovea {
namespace {

// How long a thread looks for work before it sleeps. Small calls come in bursts, and to wake a
// thread costs more than many of them.
constexpr auto kLook = std::chrono::microseconds(30);
constexpr std::size_t kCacheLine = 64;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether done() came true in the time that looking is worth.
template <class F>
bool look(F&& done) {
  constexpr int kLooksPerClock = 16;
  const auto end = std::chrono::steady_clock::now() + kLook;
  do {
    for (int i = 0; i < kLooksPerClock; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

int process_id() {
#if defined(__unix__) || defined(__APPLE__)
  return static_cast<int>(getpid());
#else
  return 0;
#endif
}

// The task that this thread is in, if any: whose, and as which worker.
struct Place {
  const Executor* pool = nullptr;
  int worker = 0;
};
thread_local Place place;

class Entered {
 public:
  explicit Entered(Place inner) : outer_(place) { place = inner; }
  ~Entered() { place = outer_; }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

 private:
  const Place outer_;
};

struct Job {
  Job(int64_t tasks, TaskRef run) : count(tasks), task(run) {}
  const int64_t count;
  const TaskRef task;
  alignas(kCacheLine) std::atomic<int64_t> next{0};
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

// The caller works too, and a job is over when its tasks are: a worker that wakes up late finds the
// job closed, and nobody waits for it. So a pool whose workers are gone (in the child of a fork) or
// could not be started still does all work.
class ThreadPool final : public Executor {
 public:
  explicit ThreadPool(int threads) : threads_(threads), process_(process_id()) {
    workers_.reserve(static_cast<std::size_t>(threads) - 1);
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
    } catch (const std::system_error&) {
      // The system gives no more threads: those that there are do the work.
    }
  }
  ~ThreadPool() override {
    if (process_id() != process_) {  // the child of a fork has no threads to wait for
      for (std::thread& worker : workers_) worker.detach();
      return;
    }
    stop_.store(true, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  int num_threads() const noexcept override { return threads_; }

  void parallel(int64_t count, TaskRef task) override {
    if (count <= 0) return;
    if (place.pool != nullptr || count == 1 || workers_.empty()) return run_here(count, task);
    // One job at a time: a second caller waits its turn.
    const std::lock_guard turn(callers_);
    Job job(count, task);
    open(job);
    {
      const Entered entered({this, 0});
      job.work(0);
    }
    close();
    if (job.error) std::rethrow_exception(job.error);
  }

 private:
  // state_: whether a job may be joined, and twice the number of workers that are in it.
  static constexpr uint32_t kOpen = 1, kOne = 2;

  void run_here(int64_t count, TaskRef task) const {
    const Entered entered({this, place.pool == this ? place.worker : 0});
    for (int64_t i = 0; i < count; ++i) task(i, place.worker);
  }

  void open(Job& job) {
    job_ = &job;
    state_.store(kOpen, std::memory_order_release);
    generation_.fetch_add(1, std::memory_order_release);
    if (job.count > static_cast<int64_t>(workers_.size())) return generation_.notify_all();
    for (int64_t i = 1; i < job.count; ++i) generation_.notify_one();
  }

  void close() {
    state_.fetch_and(~kOpen, std::memory_order_acq_rel);
    const auto left = [this] { return state_.load(std::memory_order_acquire) == 0; };
    if (look(left)) return;
    for (uint32_t state; (state = state_.load(std::memory_order_acquire)) != 0;) {
      state_.wait(state, std::memory_order_acquire);
    }
  }

  bool join() {
    uint32_t state = state_.load(std::memory_order_relaxed);
    while ((state & kOpen) != 0) {
      if (state_.compare_exchange_weak(state, state + kOne, std::memory_order_acquire)) return true;
    }
    return false;
  }

  void leave() {
    if (state_.fetch_sub(kOne, std::memory_order_acq_rel) == kOne) state_.notify_one();
  }

  void serve(int worker) {
    place = {this, worker};
    uint32_t seen = 0;
    for (;;) {
      const auto news = [&] { return generation_.load(std::memory_order_acquire) != seen; };
      if (!look(news)) generation_.wait(seen, std::memory_order_acquire);
      seen = generation_.load(std::memory_order_acquire);
      if (stop_.load(std::memory_order_relaxed)) return;
      if (!join()) continue;
      job_->work(worker);
      leave();
    }
  }

  const int threads_;
  const int process_;
  std::vector<std::thread> workers_;
  std::mutex callers_;
  Job* job_ = nullptr;  // read by those who joined
  std::atomic<bool> stop_{false};
  alignas(kCacheLine) std::atomic<uint32_t> generation_{0};
  alignas(kCacheLine) std::atomic<uint32_t> state_{0};
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
