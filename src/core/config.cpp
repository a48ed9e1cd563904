// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

#include <charconv>
#include <cstdlib>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include <fovea/config.h>
#include "core/fail.h"

namespace fovea {
namespace {

constexpr int kMostThreads = 1024;

std::string read(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

int processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    const int count = CPU_COUNT(&set);
    if (count > 0) return count;
  }
#endif
  const unsigned count = std::thread::hardware_concurrency();
  return count > 0 ? static_cast<int>(count) : 1;
}

#if defined(NDEBUG)
constexpr bool kCheckByDefault = false;
#else
constexpr bool kCheckByDefault = true;
#endif

}  // namespace

int core::num_threads() {
  const std::string value = read("FOVEA_NUM_THREADS");
  if (value.empty()) return processors();
  int count = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
  const bool whole = error == std::errc() && end == value.data() + value.size();
  require(whole && count >= 1 && count <= kMostThreads, "FOVEA_NUM_THREADS",
          "must be a number of threads", "1 to " + std::to_string(kMostThreads), "'" + value + "'");
  return count;
}

std::string core::isa() { return read("FOVEA_ISA"); }

bool core::check() {
  const std::string value = read("FOVEA_CHECK");
  if (value.empty()) return kCheckByDefault;
  require(value == "0" || value == "1", "FOVEA_CHECK", "must be a switch", "0 or 1",
          "'" + value + "'");
  return value == "1";
}

std::vector<ConfigEntry> config() {
  const auto value = [](const char* name) { return read(name); };
  return {
      {"FOVEA_NUM_THREADS", value("FOVEA_NUM_THREADS"), std::to_string(processors()),
       "threads of the default pool, read once"},
      {"FOVEA_ISA", value("FOVEA_ISA"), "the best of this machine",
       "instruction set of the CPU kernels: baseline, avx2, avx512, avx512_bf16 or neon"},
      {"FOVEA_CHECK", value("FOVEA_CHECK"), kCheckByDefault ? "1" : "0",
       "1: check captured indices at every visible element before a run (slow)"},
  };
}

}  // namespace fovea
