// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

/// A progress bar on standard error while that is a terminal; nothing elsewhere, where the printed
/// rows are progress enough.
namespace fovea::cli {

class Progress {
 public:
  explicit Progress(int64_t steps);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(std::string_view what);  ///< begins the next step
  void clear();                      ///< takes the bar away, before something is printed

 private:
  int64_t steps_;
  int64_t done_ = 0;
  bool terminal_;
  bool shown_ = false;
};

}  // namespace fovea::cli
