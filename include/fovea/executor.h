// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <fovea/export.h>

/// How parallel work is run. The default is a small thread pool (FOVEA_NUM_THREADS threads, by
/// default one a processor); a host program may pass its own.
namespace fovea {

/// A reference to a callable `void(int64_t task, int worker)`; it does not own the callable.
class TaskRef {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, TaskRef>)
  TaskRef(F&& f)  // NOLINT: implicit by design, as function_ref
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, int64_t task, int worker) {
          (*static_cast<std::remove_reference_t<F>*>(object))(task, worker);
        }) {}
  void operator()(int64_t task, int worker) const { call_(object_, task, worker); }

 private:
  void* object_;
  void (*call_)(void*, int64_t, int);
};

class FOVEA_API Executor {
 public:
  virtual ~Executor();
  /// Upper bound of workers; `worker` in a task is below it.
  virtual int num_threads() const noexcept = 0;
  /// Runs task(0..count-1), each once, handed out in ascending order; returns when all are done.
  /// The first exception of a task is rethrown here after the others have stopped. A call from
  /// inside a task runs serially on that worker.
  virtual void parallel(int64_t count, TaskRef task) = 0;
};

/// The process-wide thread pool.
FOVEA_API Executor& default_executor();

/// A pool of its own with `threads` workers (the calling thread counts as one; >= 1).
FOVEA_API std::unique_ptr<Executor> make_thread_pool(int threads);

}  // namespace fovea
