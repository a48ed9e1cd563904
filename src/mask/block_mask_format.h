// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/fail.h"

/// What writer and reader of block mask files share: docs/block-mask.md in code.
namespace fovea::mask {

inline constexpr std::array<char, 8> kFileMagic = {'F', 'O', 'V', 'E', 'A', 'B', 'M', '\n'};
inline constexpr uint32_t kFileVersion = 1;
inline constexpr std::size_t kFileHeader = 8 + 4 + 4 + 8 + 16;  // magic ... checksum

/// Integers are little-endian, without gaps between them.
class ByteWriter {
 public:
  template <class T>
  void number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * i)));
    }
  }
  void raw(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> finish() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class ByteReader {
 public:
  /// Reads on from byte `begin` of the file. Positions and messages count from the file's start.
  ByteReader(std::span<const std::byte> bytes, std::size_t begin, const char* where)
      : bytes_(bytes), where_(where), at_(begin) {}

  std::size_t position() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

  template <class T>
  T number(const char* what) {
    const auto from = raw(sizeof(T), what);
    uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value |= uint64_t(from[i]) << (8 * i);
    return static_cast<T>(value);
  }

  /// How many things of `size` bytes follow: no more than there are bytes left.
  uint64_t count(const char* what, std::size_t size) {
    const std::size_t place = at_;
    const auto value = number<uint64_t>(what);
    if (value > left() / size) {
      fail_at(place, what, "at most " + std::to_string(left() / size) + " (the bytes left)",
              std::to_string(value));
    }
    return value;
  }

  std::span<const std::byte> raw(std::size_t size, const char* what) {
    if (size > left()) {
      fail_at(at_, what, std::to_string(size) + " bytes", std::to_string(left()) + " (cut short)");
    }
    const auto part = bytes_.subspan(at_, size);
    at_ += size;
    return part;
  }

  /// A number in [low, high].
  template <class T>
  T number_in(const char* what, T low, T high) {
    const std::size_t place = at_;
    const T value = number<T>(what);
    if (value < low || value > high) {
      fail_at(place, what, std::to_string(low) + " to " + std::to_string(high),
              std::to_string(value));
    }
    return value;
  }

  [[noreturn]] void fail_at(std::size_t place, const std::string& what, const std::string& expected,
                            const std::string& got) const {
    core::fail_argument(where_, what + " at byte " + std::to_string(place), expected, got);
  }

 private:
  std::span<const std::byte> bytes_;
  const char* where_;
  std::size_t at_;
};

/// Elements of a tensor are stored little-endian, too.
inline void swap_if_big(std::span<std::byte> elements, std::size_t size) {
  if constexpr (std::endian::native == std::endian::big) {
    for (std::size_t i = 0; i + size <= elements.size(); i += size) {
      std::reverse(elements.begin() + static_cast<std::ptrdiff_t>(i),
                   elements.begin() + static_cast<std::ptrdiff_t>(i + size));
    }
  }
}

}  // namespace fovea::mask
