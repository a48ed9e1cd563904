// SPDX-License-Identifier: Apache-2.0
#include "peak_memory.h"

#include <fstream>
#include <string>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace fovea::cli {
namespace {

// A line of /proc/self/status, in bytes.
std::optional<int64_t> status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  return std::nullopt;
}

bool forget_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5";
  file.flush();
  return file.good();
}

}  // namespace

std::optional<int64_t> peak_memory_of(const std::function<void()>& work) {
#if defined(__GLIBC__)
  malloc_trim(0);  // freed memory that is still resident would hide new one
#endif
  const bool known = forget_peak();
  const auto before = status("VmRSS");
  work();
  const auto peak = status("VmHWM");
  if (!known || !before || !peak) return std::nullopt;
  return *peak > *before ? *peak - *before : 0;
}

}  // namespace fovea::cli
