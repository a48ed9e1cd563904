// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <numbers>

#include <fovea/random.h>

namespace fovea {
namespace {

// Multipliers and Weyl increments of Philox4x32 (Salmon et al. 2011, table 2 and section 3.3).
constexpr uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;

std::array<uint32_t, 4> block(uint64_t seed, uint64_t counter) {
  return philox4x32({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t p1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

uint32_t Random::bits(uint64_t position) const noexcept {
  return block(seed_, position / 4)[position % 4];
}

float Random::uniform(uint64_t position) const noexcept {
  return static_cast<float>(bits(position) >> 8) * 0x1p-24f;
}

float Random::normal(uint64_t position) const noexcept {
  // A pair of positions shares one Box-Muller transform of two uniform numbers.
  const auto words = block(~seed_, position / 2);
  const double u = (static_cast<double>(words[0]) + 0.5) * 0x1p-32;
  const double angle = 2 * std::numbers::pi * (static_cast<double>(words[1]) * 0x1p-32);
  const double radius = std::sqrt(-2 * std::log(u));
  return static_cast<float>(radius * (position % 2 == 0 ? std::cos(angle) : std::sin(angle)));
}

int64_t Random::below(uint64_t position, int64_t limit) const noexcept {
  if (limit <= 0) return 0;
  const auto words = block(seed_ ^ 0x5851f42d4c957f2d, position);
  const uint64_t x = (uint64_t{words[0]} << 32) | words[1];
  return static_cast<int64_t>(x % static_cast<uint64_t>(limit));
}

}  // namespace fovea
