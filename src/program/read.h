// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <fovea/tensor.h>

/// Typed access to the elements of a captured tensor.
namespace fovea::program {

/// Calls f with a pointer to the tensor's elements in their C++ type (bools as bytes).
template <class F>
auto with_elements(const TensorView& tensor, F&& f) {
  const void* data = tensor.data;
  switch (tensor.dtype) {
    case DType::f64: return f(static_cast<const double*>(data));
    case DType::f32: return f(static_cast<const float*>(data));
    case DType::bf16: return f(static_cast<const BFloat16*>(data));
    case DType::f16: return f(static_cast<const Float16*>(data));
    case DType::i64: return f(static_cast<const int64_t*>(data));
    case DType::i32: return f(static_cast<const int32_t*>(data));
    case DType::i16: return f(static_cast<const int16_t*>(data));
    case DType::i8: return f(static_cast<const int8_t*>(data));
    case DType::u8: return f(static_cast<const uint8_t*>(data));
    case DType::boolean: break;
  }
  return f(static_cast<const std::byte*>(data));
}

inline double widen(double x) { return x; }
inline double widen(float x) { return x; }
inline double widen(BFloat16 x) { return static_cast<float>(x); }
inline double widen(Float16 x) { return static_cast<float>(x); }
inline int64_t widen(int64_t x) { return x; }
inline int64_t widen(int32_t x) { return x; }
inline int64_t widen(int16_t x) { return x; }
inline int64_t widen(int8_t x) { return x; }
inline int64_t widen(uint8_t x) { return x; }
inline bool widen(std::byte x) { return x != std::byte{0}; }

}  // namespace fovea::program
