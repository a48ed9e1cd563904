// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

#include <algorithm>
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

#if defined(NDEBUG)
constexpr bool kCheckByDefault = false;
#else
constexpr bool kCheckByDefault = true;
#endif

int processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    const int count = CPU_COUNT(&set);
    if (count > 0) return std::min(count, kMostThreads);
  }
#endif
  const unsigned count = std::thread::hardware_concurrency();
  return count > 0 ? std::min(static_cast<int>(count), kMostThreads) : 1;
}

struct Variable {
  const char* name;
  const char* meaning;
  std::string (*default_value)();

  std::string value() const {  // empty if it is not set
    const char* text = std::getenv(name);
    return text ? text : "";
  }
  template <class Expected>
  void require(bool ok, const char* rule, const Expected& expected) const {
    if (!ok) core::fail_argument(name, rule, core::text(expected), "'" + value() + "'");
  }
};

// The table.
constexpr Variable kNumThreads = {"FOVEA_NUM_THREADS", "threads of the default pool, read once",
                                  [] { return std::to_string(processors()); }};
constexpr Variable kIsa = {
    "FOVEA_ISA", "instruction set of the CPU kernels: baseline, avx2, avx512, avx512_bf16 or neon",
    [] { return std::string("the best of this machine"); }};
constexpr Variable kCheck = {
    "FOVEA_CHECK", "1: check captured indices at every visible element before a run (slow)",
    [] { return std::string(kCheckByDefault ? "1" : "0"); }};

}  // namespace

int core::num_threads() {
  const std::string value = kNumThreads.value();
  if (value.empty()) return processors();
  int count = 0;
  const char* const end = value.data() + value.size();
  const auto parsed = std::from_chars(value.data(), end, count);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == end;
  kNumThreads.require(whole && count >= 1 && count <= kMostThreads, "must be a number of threads",
                      "1 to " + std::to_string(kMostThreads));
  return count;
}

std::string core::isa() { return kIsa.value(); }

bool core::check() {
  const std::string value = kCheck.value();
  if (value.empty()) return kCheckByDefault;
  kCheck.require(value == "0" || value == "1", "must be a switch", "0 or 1");
  return value == "1";
}

std::vector<ConfigEntry> config() {
  std::vector<ConfigEntry> all;
  for (const Variable& variable : {kNumThreads, kIsa, kCheck}) {
    all.push_back({variable.name, variable.value(), variable.default_value(), variable.meaning});
  }
  return all;
}

}  // namespace fovea
