// SPDX-License-Identifier: Apache-2.0
#include "core/hash.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

namespace fovea {
namespace {

// Two multiply-and-rotate lanes over little-endian words, mixed into each other at the end.
constexpr uint64_t kA = 0x9e3779b97f4a7c15, kB = 0xc2b2ae3d27d4eb4f;

uint64_t rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

uint64_t finish(uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
  x = (x ^ (x >> 29)) * 0xa0761d6478bd642f;
  return x ^ (x >> 32);
}

uint64_t word(const unsigned char* p, std::size_t count) {
  uint64_t w = 0;
  if (std::endian::native == std::endian::little && count == sizeof w) {
    std::memcpy(&w, p, sizeof w);
    return w;
  }
  for (std::size_t i = 0; i < count; ++i) w |= uint64_t{p[i]} << (8 * i);
  return w;
}

}  // namespace

Hash128 core::hash_bytes(const void* data, std::size_t size) noexcept {
  const auto* p = static_cast<const unsigned char*>(data);
  uint64_t a = kA ^ size, b = kB + size;
  for (std::size_t left = size; left > 0;) {
    const std::size_t n = left < 8 ? left : 8;
    const uint64_t w = word(p, n);
    a = rotate((a ^ w) * kB, 31) + b;
    b = rotate((b + w) * kA, 27) ^ a;
    p += n;
    left -= n;
  }
  return {finish(a + rotate(b, 17)), finish(b ^ rotate(a, 41))};
}

std::string to_string(const Hash128& hash) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint64_t half : {hash.high, hash.low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(half >> shift) & 15];
  }
  return text;
}

}  // namespace fovea
