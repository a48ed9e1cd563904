// SPDX-License-Identifier: Apache-2.0
#include "common.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace fovea_capi {
namespace {

thread_local std::string last_error;

}  // namespace

int status_of(fovea::ErrorCode code) noexcept {
  switch (code) {
    case fovea::ErrorCode::invalid_argument: return FOVEA_CAPI_INVALID_ARGUMENT;
    case fovea::ErrorCode::unsupported: return FOVEA_CAPI_UNSUPPORTED;
    case fovea::ErrorCode::compile_error: return FOVEA_CAPI_COMPILE_ERROR;
    case fovea::ErrorCode::internal_error: return FOVEA_CAPI_INTERNAL_ERROR;
  }
  return FOVEA_CAPI_OTHER;
}

// Remembering a message allocates, which may be the very thing that failed.
int fail(int status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

void require(bool condition, const char* message) {
  if (!condition) throw fovea::InvalidArgument(message);
}

fovea::TensorView to_view(const fovea_capi_tensor& tensor) {
  require(tensor.rank >= 0 && tensor.rank <= fovea::kMaxRank,
          "[fovea_capi] rank: expected 0 to 16, got another number");
  require(tensor.dtype >= 0 && tensor.dtype <= static_cast<int32_t>(fovea::DType::boolean),
          "[fovea_capi] dtype: expected a number of fovea::DType, got another");
  const auto rank = static_cast<std::size_t>(tensor.rank);
  fovea::TensorView view;
  view.data = tensor.data;
  view.dtype = static_cast<fovea::DType>(tensor.dtype);
  view.sizes = fovea::Dims(std::span(std::data(tensor.sizes), rank));
  view.strides = fovea::Dims(std::span(std::data(tensor.strides), rank));
  return view;
}

void copy_text(const std::string& text, char* buffer, std::size_t capacity, std::size_t* needed) {
  if (needed) *needed = text.size() + 1;
  if (!buffer || capacity == 0) return;
  const std::size_t length = std::min(capacity - 1, text.size());
  std::memcpy(buffer, text.data(), length);
  buffer[length] = '\0';
}

}  // namespace fovea_capi

const char* fovea_capi_last_error(void) { return fovea_capi::last_error.c_str(); }
