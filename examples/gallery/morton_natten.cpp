// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "variant.h"

namespace fovea::gallery {

namespace {

// Every second bit of a number, moved together.
template <class T>
T even_bits(const T& i) {
  const T a = i & 0x55555555;
  const T b = (a | (a >> 1)) & 0x33333333;
  const T c = (b | (b >> 2)) & 0x0f0f0f0f;
  const T d = (c | (c >> 4)) & 0x00ff00ff;
  return (d | (d >> 8)) & 0x0000ffff;
}

// The same, a bit at a time.
int64_t every_second_bit(int64_t i, int first) {
  int64_t result = 0;
  for (int bit = 0; bit < 16; ++bit) result |= (i >> (2 * bit + first) & 1) << bit;
  return result;
}

}  // namespace

void morton_natten(VariantMaker& make) {
  int64_t side = 1;
  while (side * side < make.length()) side *= 2;
  const int64_t reach = make.whole("kernel", side / 5 | 1) / 2;
  const int64_t last = std::max(reach, side - 1 - reach);
  make.describe("NATTEN with the tokens along a Z-order curve.",
                "natten of (y, x): x the even bits of the position, y the odd ones",
                "Hassani et al., 2023; Morton order as in attention-gym");
  make.mask(
      [=](auto, auto, const Value& q, const Value& kv) {
        const auto near = [=](const Value& a, const Value& b) {
          return abs(clamp(a, reach, last) - b) <= reach;
        };
        return near(even_bits(Value(q >> 1)), even_bits(Value(kv >> 1))) &&
               near(even_bits(q), even_bits(kv));
      },
      [=](const Row& row, int64_t kv) {
        for (const int first : {0, 1}) {
          const int64_t centre = std::clamp(every_second_bit(row.q, first), reach, last);
          if (std::abs(centre - every_second_bit(kv, first)) > reach) return false;
        }
        return true;
      });
}

}  // namespace fovea::gallery
