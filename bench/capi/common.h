// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>

#include <fovea/fovea.h>
#include "capi.h"

/// What the sources of the C interface share: handles, errors, tensors and texts in C++ terms.

struct fovea_capi_program {
  fovea::Program value;
};
struct fovea_capi_block_mask {
  fovea::BlockMask value;
};
struct fovea_capi_executor {
  std::unique_ptr<fovea::Executor> value;
};

namespace fovea_capi {

/// Remembers the message and returns the status. Never throws.
int fail(int status, const char* message) noexcept;
int status_of(fovea::ErrorCode code) noexcept;

/// Runs the body; an exception becomes a status.
template <class F>
int guarded(F&& body) noexcept {
  try {
    body();
    return FOVEA_CAPI_OK;
  } catch (const fovea::Error& error) {
    return fail(status_of(error.code()), error.what());
  } catch (const std::exception& error) {
    return fail(FOVEA_CAPI_OTHER, error.what());
  } catch (...) {
    return fail(FOVEA_CAPI_OTHER, "an exception that is no std::exception");
  }
}

/// Throws InvalidArgument.
void require(bool condition, const char* message);

inline bool has_tensor(const fovea_capi_tensor& tensor) { return tensor.rank > 0 || tensor.data; }
fovea::TensorView to_view(const fovea_capi_tensor& tensor);

void copy_text(const std::string& text, char* buffer, std::size_t capacity, std::size_t* needed);

}  // namespace fovea_capi
