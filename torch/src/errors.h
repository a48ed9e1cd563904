// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/util/Exception.h>

#include <fovea/error.h>

/// fovea's errors as torch's, so that Python sees ValueError, NotImplementedError or RuntimeError.
namespace fovea::torch {

template <class F>
auto translated(F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const InvalidArgument& error) {
    TORCH_CHECK_VALUE(false, error.what());
  } catch (const Unsupported& error) {
    TORCH_CHECK_NOT_IMPLEMENTED(false, error.what());
  } catch (const Error& error) {
    TORCH_CHECK(false, error.what());
  }
}

}  // namespace fovea::torch
