// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>

#include <gtest/gtest.h>

#include "error/program/error_text.h"
#include "program/derive.h"

namespace fovea {
namespace {

using program::derive;
using test::error_text;

TEST(DeriveError, AMaskMod) {
  const Program mask = parse_program("q >= kv");
  EXPECT_EQ(error_text([&] { derive(mask.graph(), {}); }),
            "[derive] program: expected a score_mod or weight_mod, got a mask_mod");
}

TEST(DeriveError, WhatHoldsNoFloats) {
  std::array<int32_t, 2> integers{};
  const std::array captures = {view(integers.data(), {2})};
  const Program mod = parse_program(
      "score_mod(s, b, h, q, kv; n: i32 = 1, t: i32[1]) { return s * t[h] + n }", captures);
  EXPECT_EQ(
      error_text([&] { derive(mod.graph(), {.captures = {0}, .params = {}}); }),
      "[derive] captured tensor t0 wants a gradient: expected a floating-point dtype, got i32");
  EXPECT_EQ(error_text([&] { derive(mod.graph(), {.captures = {}, .params = {0}}); }),
            "[derive] parameter p0 wants a gradient: expected f32, got i32");
}

TEST(DeriveError, WhatIsNotThere) {
  const Program mod = parse_program("score * 2.0");
  EXPECT_EQ(error_text([&] { derive(mod.graph(), {.captures = {0}, .params = {}}); }),
            "[derive] captured tensor that wants a gradient: expected a slot below 0, got 0");
  EXPECT_EQ(error_text([&] { derive(mod.graph(), {.captures = {}, .params = {-1}}); }),
            "[derive] parameter that wants a gradient: expected a slot below 1, got -1");
}

TEST(DeriveError, AnElementOutsideItsTensor) {
  std::array<float, 2> numbers{};
  const std::array captures = {view(numbers.data(), {2})};
  const Program mod = parse_program("score * t0[q]", captures);
  const program::JointProgram joint = derive(mod.graph(), program::all_captures(mod.graph()));
  program::JointState state(joint, mod);
  EXPECT_EQ(
      error_text([&] { state.run({.q = 2}); }),
      "[interpret] index 0 of captured tensor t0 at b=0 h=0 q=2 kv=0: expected 0 to 1, got 2");
}

}  // namespace
}  // namespace fovea
