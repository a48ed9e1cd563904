// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <fovea/export.h>

/// Element types of tensors.
namespace fovea {

enum class DType : uint8_t { f64, f32, bf16, f16, i64, i32, i16, i8, u8, boolean };

FOVEA_API const char* name_of(DType dtype) noexcept;  ///< "f32", "bf16", ..., "bool"
FOVEA_API std::size_t size_of(DType dtype) noexcept;  ///< bytes of one element
FOVEA_API bool is_floating(DType dtype) noexcept;     ///< f64, f32, bf16, f16
FOVEA_API bool is_integral(DType dtype) noexcept;     ///< i64, i32, i16, i8, u8 (not bool)

/// bfloat16 as stored; converts to and from float (round to nearest even, NaN stays NaN).
struct FOVEA_API BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value) noexcept;
  explicit operator float() const noexcept;
};

/// IEEE binary16 as stored; converts to and from float (round to nearest even, NaN stays NaN).
struct FOVEA_API Float16 {
  uint16_t bits = 0;
  Float16() = default;
  explicit Float16(float value) noexcept;
  explicit operator float() const noexcept;
};

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<Float16> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int16_t> {
  static constexpr DType value = DType::i16;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::boolean;
};

}  // namespace fovea
