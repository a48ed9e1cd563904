// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>

#include <fovea/fovea.h>
#include "capi.h"

/// What the functions of the C interface share: a program's handle, and exceptions as statuses.

struct fovea_capi_program {
  fovea::Program value;
};

namespace fovea::capi {

int fail(int status, const char* message) noexcept;

inline int status_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument: return FOVEA_CAPI_INVALID_ARGUMENT;
    case ErrorCode::unsupported: return FOVEA_CAPI_UNSUPPORTED;
    case ErrorCode::compile_error: return FOVEA_CAPI_COMPILE_ERROR;
    case ErrorCode::internal_error: return FOVEA_CAPI_INTERNAL_ERROR;
  }
  return FOVEA_CAPI_OTHER;
}

template <class F>
int guarded(F&& body) noexcept {
  try {
    body();
    return FOVEA_CAPI_OK;
  } catch (const Error& error) {
    return fail(status_of(error.code()), error.what());
  } catch (const std::exception& error) {
    return fail(FOVEA_CAPI_OTHER, error.what());
  } catch (...) {
    return fail(FOVEA_CAPI_OTHER, "an exception that is no std::exception");
  }
}

inline void require(bool condition, const char* message) {
  if (!condition) throw InvalidArgument(message);
}

}  // namespace fovea::capi
