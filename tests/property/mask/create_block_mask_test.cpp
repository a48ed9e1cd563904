// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "property/program/random_program.h"
#include "unit/mask/brute_force.h"

namespace fovea {
namespace {

std::optional<test::DenseMask> dense_of(const Program& program, int64_t b, int64_t h, int64_t q_len,
                                        int64_t kv_len) {
  try {
    return test::DenseMask(program, b, h, q_len, kv_len);
  } catch (const InvalidArgument&) {
    return std::nullopt;  // some element has a fault
  }
}

TEST(RandomMasks, EqualBruteForce) {
  constexpr std::array<int64_t, 10> kLengths = {1, 2, 7, 16, 31, 64, 65, 100, 129, 200};
  constexpr std::array<int64_t, 7> kBlocks = {1, 3, 8, 16, 32, 50, 128};
  int64_t compared = 0;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    test::RandomProgramOptions options;
    options.steps = 1 + static_cast<int>(seed % 25);
    options.faults = seed % 4 == 0;
    const test::RandomProgram random = test::random_program(seed, options);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + random.code);
    test::Dice dice(seed ^ 0x3a5c);
    const BlockMaskOptions shape{.q_len = dice.pick(kLengths),
                                 .kv_len = dice.pick(kLengths),
                                 .batch = 2,
                                 .heads = 3,
                                 .block_size = {dice.pick(kBlocks), dice.pick(kBlocks)}};
    const int64_t b = dice.below(2);
    const int64_t h = dice.below(3);
    const auto dense = dense_of(random.program, b, h, shape.q_len, shape.kv_len);
    try {
      const BlockMask mask = create_block_mask(random.program, shape);
      if (!dense) continue;
      ++compared;
      ASSERT_EQ(difference(mask, *dense, b, h), "")
          << shape.q_len << " x " << shape.kv_len << ", block " << shape.block_size.q << " x "
          << shape.block_size.kv << ", b " << b << ", h " << h;
    } catch (const InvalidArgument& error) {
      // Another plane may have a fault where this one has none.
      ASSERT_TRUE(!dense || options.faults) << error.what();
    }
  }
  EXPECT_GT(compared, 2000);
}

}  // namespace
}  // namespace fovea
