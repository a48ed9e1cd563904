// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <fstream>

#include <fovea/attention.h>

namespace fovea::cli {
namespace {

// As the system calls it; empty where it does not say.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

}  // namespace

std::string machine_text() {
  for (const BackendInfo& backend : backends()) {
    if (backend.name != "cpu") continue;
    const std::string name = processor_name();
    return name.empty() ? backend.detail : name + " (" + backend.detail + ")";
  }
  return "no CPU backend";
}

std::string compiler_text() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "g++ " __VERSION__;
#else
  return "unknown";
#endif
}

}  // namespace fovea::cli
