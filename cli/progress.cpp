// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <unistd.h>

#include <fmt/format.h>

namespace fovea::cli {

Progress::Progress(int64_t steps)
    : steps_(std::max<int64_t>(steps, 1)), terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { clear(); }

void Progress::step(std::string_view what) {
  if (terminal_) {
    constexpr int64_t kWidth = 30;
    const int64_t filled = std::min(done_ * kWidth / steps_, kWidth);
    std::string bar;
    for (int64_t i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "░";
    fmt::print(stderr, "\r\033[K{} {:3} %  {}", bar, std::min<int64_t>(100 * done_ / steps_, 100),
               what);
    std::fflush(stderr);
    shown_ = true;
  }
  ++done_;
}

void Progress::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace fovea::cli
