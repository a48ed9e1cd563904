// SPDX-License-Identifier: Apache-2.0
#include <fovea/error.h>
#include "core/fail.h"

namespace fovea {

Error::~Error() = default;
InvalidArgument::~InvalidArgument() = default;
Unsupported::~Unsupported() = default;
CompileError::~CompileError() = default;
InternalError::~InternalError() = default;

void core::fail_argument(std::string_view where, std::string_view rule, const std::string& expected,
                         const std::string& got) {
  std::string message = "[";
  message.append(where).append("] ").append(rule);
  message.append(": expected ").append(expected).append(", got ").append(got);
  throw InvalidArgument(message);
}

}  // namespace fovea
