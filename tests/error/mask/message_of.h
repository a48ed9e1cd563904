// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <fovea/error.h>

namespace fovea::test {

/// What the InvalidArgument of a call says.
template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace fovea::test
