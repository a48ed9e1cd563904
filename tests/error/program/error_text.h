// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <fovea/error.h>

namespace fovea::test {

/// The text of the InvalidArgument that `f` throws, or "" if it throws none.
template <class F>
std::string error_text(F&& f) {
  try {
    f();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "";
}

}  // namespace fovea::test
