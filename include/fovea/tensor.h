// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>

#include <fovea/dtype.h>
#include <fovea/export.h>

/// Views of memory that the caller owns. fovea never allocates or frees a tensor.
namespace fovea {

inline constexpr int kMaxRank = 16;

/// A short list of sizes, strides or indices, stored in place.
class FOVEA_API Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) : Dims(std::span(values.begin(), values.size())) {}
  explicit Dims(std::span<const int64_t> values);  ///< InvalidArgument beyond kMaxRank values

  int rank() const noexcept { return rank_; }
  int64_t operator[](int i) const noexcept { return values_[static_cast<std::size_t>(i)]; }
  int64_t& operator[](int i) noexcept { return values_[static_cast<std::size_t>(i)]; }
  const int64_t* begin() const noexcept { return values_.data(); }
  const int64_t* end() const noexcept { return values_.data() + rank_; }
  friend bool operator==(const Dims& a, const Dims& b) noexcept {
    return std::span(a.begin(), a.end()).size() == std::span(b.begin(), b.end()).size() &&
           std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  std::array<int64_t, kMaxRank> values_{};
  int rank_ = 0;
};

FOVEA_API std::string to_string(const Dims& dims);  ///< "[2, 8, 1024, 64]"

enum class DeviceType : uint8_t { cpu, cuda };
struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

/// Where a tensor lies and what it looks like. Strides count elements, not bytes; any stride is
/// legal, 0 (broadcast) and negative ones too.
struct FOVEA_API TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  Dims sizes;
  Dims strides;
  Device device;

  int rank() const noexcept { return sizes.rank(); }
  int64_t size(int i) const noexcept { return sizes[i]; }
  int64_t stride(int i) const noexcept { return strides[i]; }
  int64_t numel() const noexcept;
  bool is_contiguous() const noexcept;
  explicit operator bool() const noexcept { return sizes.rank() > 0 || data != nullptr; }
};

FOVEA_API Dims contiguous_strides(const Dims& sizes);

/// A view of a contiguous row-major array. The view does not own `data`; inputs are never written.
template <class T>
TensorView view(T* data, const Dims& sizes) {
  using Element = std::remove_const_t<T>;
  return {
      const_cast<Element*>(data), DTypeOf<Element>::value, sizes, contiguous_strides(sizes), {}};
}

/// A view with explicit strides, in elements.
template <class T>
TensorView view(T* data, const Dims& sizes, const Dims& strides) {
  using Element = std::remove_const_t<T>;
  return {const_cast<Element*>(data), DTypeOf<Element>::value, sizes, strides, {}};
}

}  // namespace fovea
