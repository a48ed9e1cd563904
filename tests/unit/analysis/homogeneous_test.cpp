// SPDX-License-Identifier: Apache-2.0
#include "analysis/homogeneous.h"

#include <array>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include <fovea/dropout.h>
#include "program/interpret.h"

namespace fovea::analysis {
namespace {

Program parse(const std::string& body) {
  static const std::array<float, 4> gates{0.5f, 2, -1, 3};
  const std::array captures{view(gates.data(), {4})};
  return parse_program(
      "weight_mod(w, b, h, q, kv; t: f32[1]) { return " + body + " + 0.0 * t[h] * w }", captures);
}

TEST(Homogeneous, GatesSumsAndSelectionsOfWeights) {
  for (const char* body :
       {"w", "-w", "w * t[h]", "t[h] * w * 2.0", "w / t[h]", "w + w * t[kv]", "w - t[h] * w",
        "where(q < kv, w, 0.0)", "where(q < kv, 0.0, w * 1.25)", "abs(w)", "max(w, 0.0)",
        "min(w, w * 0.5)", "where(w > 0.0, w, w * 0.1)", "where(w * t[h] < w, w, 0)",
        "exp(t[h]) * sigmoid(t[kv]) * w", "w * 0.0"}) {
    EXPECT_TRUE(is_homogeneous(parse(body))) << body;
  }
}

TEST(Homogeneous, NotWhatReadsTheWeightItself) {
  for (const char* body :
       {"w * w", "w + 0.1", "exp(w)", "w / (1.0 + w)", "1.0 - w", "where(w > 0.1, w, 0.0)",
        "max(w, 0.1)", "where(q < kv, w, 1.0)", "sqrt(w)", "t[h] / w", "w % t[h]", "pow(w, 1.5)",
        "w * t[i32(w) % 4]", "w * f32(w > 0.5)", "floor(w)", "w * t[h] + t[h]"}) {
    EXPECT_FALSE(is_homogeneous(parse(body))) << body;
  }
}

TEST(Homogeneous, ReadsTheValuesOfParameters) {
  const std::string head = "weight_mod(w, b, h, q, kv; p: f32 = ";
  const std::string body = ") { return where(q < kv, p, w) }";
  EXPECT_TRUE(is_homogeneous(parse_program(head + "0" + body)));
  EXPECT_TRUE(is_homogeneous(parse_program(head + "-0.0" + body)));
  EXPECT_FALSE(is_homogeneous(parse_program(head + "1" + body)));
}

TEST(Homogeneous, ConstantsOtherThan0AreNot) {
  EXPECT_TRUE(is_homogeneous(parse_program("weight_mod(w, b, h, q, kv) { return 0.0 }")));
  EXPECT_FALSE(is_homogeneous(parse_program("weight_mod(w, b, h, q, kv) { return 1.0 }")));
  EXPECT_FALSE(is_homogeneous(parse_program("weight_mod(w, b, h, q, kv) { return f32(q) }")));
}

TEST(Homogeneous, DropoutIs) {
  const int64_t number = 5;
  const TensorView one = view(&number, Dims{});
  for (const double p : {0.0, 0.25, 1.0}) EXPECT_TRUE(is_homogeneous(dropout(p, one, one)));
}

}  // namespace
}  // namespace fovea::analysis
