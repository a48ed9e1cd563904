// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

/// Sums in a fixed order although many threads add to them.
namespace fovea::cpu {

/// Some lines, and in each of them turns 0, 1, 2, ... that are taken in order. Tasks must be handed out
/// so that the earlier ones of a line have started, as an Executor does, and each must take all of its
/// turns: whoever waits, waits for one that runs.
class Turns {
 public:
  explicit Turns(int64_t lines) : next_(static_cast<std::size_t>(lines)) {}

  struct Place {
    int64_t line = 0, number = 0;
  };

  /// One turn. It ends when it is told to, at the latest with its scope.
  class Turn {
   public:
    Turn(Turns& turns, const Place& place)
        : next_(turns.next_[static_cast<std::size_t>(place.line)]), number_(place.number) {}
    Turn(const Turn&) = delete;
    ~Turn() { end(); }

    void wait() const {
      for (int64_t now = next_.load(std::memory_order_acquire); now != number_;
           now = next_.load(std::memory_order_acquire)) {
        next_.wait(now, std::memory_order_acquire);
      }
    }
    void end() {
      if (ended_) return;
      wait();
      ended_ = true;
      next_.store(number_ + 1, std::memory_order_release);
      next_.notify_all();
    }

   private:
    std::atomic<int64_t>& next_;
    const int64_t number_;
    bool ended_ = false;
  };

 private:
  std::vector<std::atomic<int64_t>> next_;
};

}  // namespace fovea::cpu
