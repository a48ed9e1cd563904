// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <fovea/attention.h>

namespace fovea::cli {

std::string machine_text() {
  for (const BackendInfo& backend : backends()) {
    if (backend.name == "cpu") return backend.detail;
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
