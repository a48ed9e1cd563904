// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fovea/error.h>

/// What lower layers say of a mod, said in the name of the public function.
namespace fovea::attention {

/// `[where] mod: ` in place of the error's own `[...] `.
[[noreturn]] void rethrow_in_name(const char* where, const char* mod, const InvalidArgument& error);

template <class F>
decltype(auto) blame(const char* where, const char* mod, F&& f) {
  try {
    return f();
  } catch (const InvalidArgument& error) {
    rethrow_in_name(where, mod, error);
  }
}

}  // namespace fovea::attention
