// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "program/fold.h"
#include "program/graph.h"
#include "program/interpret.h"
#include "program/print.h"

namespace fovea {
namespace {

using program::interpret;

// What a bare expression becomes.
std::string canonical(const std::string& text) {
  const std::string whole = parse_program(text).to_string();
  const std::size_t begin = whole.find("return ") + 7;
  return whole.substr(begin, whole.size() - begin - 2);
}

std::string printed(double value) { return program::print_literal(program::make_float(value)); }

TEST(Text, NumbersRoundTripAndFloatsLookLikeFloats) {
  EXPECT_EQ(printed(1), "1.0");
  EXPECT_EQ(printed(-0.0), "-0.0");
  EXPECT_EQ(printed(0.1), "0.1");
  EXPECT_EQ(printed(1e300), "1e+300");
  EXPECT_EQ(printed(INFINITY), "inf");
  EXPECT_EQ(printed(-INFINITY), "-inf");
  EXPECT_EQ(printed(-NAN), "nan");
  EXPECT_EQ(program::print_literal(program::make_int(INT64_MIN)), "-9223372036854775808");
  EXPECT_EQ(program::print_literal(program::make_bool(true)), "true");
}

TEST(Text, TheExampleOfTheDocumentation) {
  std::array<int32_t, 1> first_key = {4};
  const auto keys = capture(view(first_key.data(), Dims{1}));
  const Program program = mask_mod([=](auto b, auto, auto q, auto kv) {
    const Value distance = q - kv;
    return distance >= 0 && distance <= 256 && kv >= keys[b];
  });
  EXPECT_EQ(program.to_string(),
            "mask_mod(b, h, q, kv; p0: i32 = 0, p1: i32 = 256, t0: i32[1]) {\n"
            "  v0 = q - kv\n"
            "  return p0 <= v0 && v0 <= p1 && t0[b] <= kv\n"
            "}");
  EXPECT_EQ(program.structure(),
            "mask_mod(b, h, q, kv; p0: i32, p1: i32, t0: i32[1]) {\n"
            "  v0 = q - kv\n"
            "  return p0 <= v0 && v0 <= p1 && t0[b] <= kv\n"
            "}");
}

TEST(Text, PrecedenceIsThatOfC) {
  EXPECT_EQ(canonical("q + kv * b - h == 0"), "q + kv * b - h == p0");
  EXPECT_EQ(canonical("(q + kv) * b - (h - q) == 0"), "(q + kv) * b - (h - q) == p0");
  EXPECT_EQ(canonical("q == 1 && kv == 2 || b == 3"), "q == p0 && kv == p1 || b == p2");
  EXPECT_EQ(canonical("q == 1 && (kv == 2 || b == 3)"), "q == p0 && (kv == p1 || b == p2)");
  EXPECT_EQ(canonical("(q & 3) == 1"), "(q & p0) == p1");
  EXPECT_EQ(canonical("bool(q & kv << 2)"), "bool(q & kv << 2)");
  EXPECT_EQ(canonical("q - (kv - b) < q - kv - b"), "q - (kv - b) < q - kv - b");
  EXPECT_EQ(canonical("-(q + kv) < -q"), "-(q + kv) < -q");
  EXPECT_EQ(canonical("(q < kv) == (kv < q)"), "(q < kv) == (kv < q)");
  EXPECT_EQ(canonical("q < kv == (b < h)"), "(q < kv) == (b < h)");
}

TEST(Text, ComparisonsAndSynonyms) {
  EXPECT_EQ(canonical("q >= kv and not (q > 5) or b != h"), "kv <= q && !(p0 < q) || b != h");
  EXPECT_EQ(canonical("q >= kv"), "kv <= q");
}

TEST(Text, LiteralsFollowTheRuleOfTracing) {
  const Program text = parse_program("q / 16 == kv / 16 && (q - kv) % 3 < 2 && q < 0x20");
  const Program traced = mask_mod(
      [](auto, auto, auto q, auto kv) { return q / 16 == kv / 16 && (q - kv) % 3 < 2 && q < 32; });
  EXPECT_EQ(text.to_string(), traced.to_string());
}

TEST(Text, ConstSpecialises) {
  EXPECT_EQ(canonical("q < const(256)"), "q < const(256)");
  EXPECT_EQ(canonical("q < const(-3)"), "q < const(-3)");
  EXPECT_EQ(canonical("score * const(0.5)"), "score * const(0.5)");
  EXPECT_EQ(canonical("score + const(inf)"), "score + inf");
  EXPECT_EQ(canonical("q / const(4) == 0"), "q / 4 == p0");
}

TEST(Text, SmallAndLargeNumbers) {
  for (const char* number : {"5e-324", "2.2250738585072014e-308", "1.7976931348623157e+308"}) {
    const Program program = parse_program(std::string("score * ") + number);
    EXPECT_NE(program.to_string().find(std::string("= ") + number), std::string::npos);
  }
}

TEST(Text, NegativeNumbers) {
  EXPECT_EQ(canonical("q % -3 == 0"), "q % -3 == p0");
  EXPECT_EQ(canonical("score - -inf"), "score - -inf");
  EXPECT_EQ(canonical("pow(score, -0.5)"), "pow(score, -0.5)");
  EXPECT_EQ(parse_program("q < -9223372036854775808").params()[0].i, INT64_MIN);
  EXPECT_TRUE(std::signbit(parse_program("score * -0.0").params()[0].f));
}

TEST(Text, FunctionsAndCasts) {
  EXPECT_EQ(canonical("where(q < kv, score, -inf)"), "where(q < kv, score, -inf)");
  EXPECT_EQ(canonical("clamp(score, -1.0, 1.0)"), "min(max(score, p0), p1)");
  EXPECT_EQ(canonical("score + f32(i32(score)) + f32(bool(score))"),
            "score + f32(i32(score)) + f32(bool(score))");
  EXPECT_EQ(canonical("score + q"), "score + f32(q)");
  EXPECT_EQ(canonical("~(q < kv)"), "!(q < kv)");
  EXPECT_EQ(canonical("bool(~q)"), "bool(~q)");
  EXPECT_EQ(canonical("f32(q) / f32(kv)"), "f32(q) / f32(kv)");
}

TEST(Text, TheResultDecidesTheKindOfABareExpression) {
  EXPECT_EQ(parse_program("true").kind(), ModKind::mask);
  EXPECT_EQ(parse_program("score * 2").kind(), ModKind::score);
  EXPECT_EQ(parse_program("q - kv").kind(), ModKind::score);
}

TEST(Text, AWeightModHasItsOwnHead) {
  const Program program =
      parse_program("weight_mod(x, b, h, q, kv; p: f32 = 0.5) { return where(q < kv, x * p, x) }");
  EXPECT_EQ(program.kind(), ModKind::weight);
  EXPECT_EQ(program.to_string(),
            "weight_mod(w, b, h, q, kv; p0: f32 = 0.5) {\n"
            "  return where(q < kv, w * p0, w)\n"
            "}");
  EXPECT_EQ(parse_program(program.to_string()).to_string(), program.to_string());
  EXPECT_EQ(simplify(program).kind(), ModKind::weight);
}

TEST(Text, CommentsAndLayoutAreFree) {
  const Program program = parse_program(
      "# keys of the past\n"
      "mask_mod(b, h, i, j; width: i32 = 3) { // a window\n"
      "  d = i - j;  near = d < width\n"
      "  return d >= 0 and near;\n"
      "}\n# end");
  EXPECT_EQ(program.to_string(),
            "mask_mod(b, h, q, kv; p0: i32 = 0, p1: i32 = 3) {\n"
            "  v0 = q - kv\n"
            "  return p0 <= v0 && v0 < p1\n"
            "}");
}

TEST(Text, ParametersOfEveryType) {
  const Program program = parse_program(
      "score_mod(score, b, h, q, kv; x: f32 = -inf, y: f32 = 3, n: i32 = -7, on: bool = true) {\n"
      "  return where(on, max(score, x) * y, f32(n))\n"
      "}");
  ASSERT_EQ(program.params().size(), 4u);
  EXPECT_EQ(interpret(program, {.score = 2}).f, 6);
  EXPECT_EQ(parse_program(program.to_string()).to_string(), program.to_string());
  const Program unset = parse_program(program.structure());
  EXPECT_EQ(unset.structure(), program.structure());
  EXPECT_EQ(unset.params()[1].f, -0.0);
}

// A declared parameter is a value that may change: nothing is folded into the structure.
TEST(Text, DeclaredParametersAreOpaque) {
  const std::string text =
      "mask_mod(b, h, q, kv; p0: i32 = 1, p1: i32 = 2) {\n"
      "  return q / p0 < p0 + p1\n"
      "}";
  EXPECT_EQ(parse_program(text).to_string(), text);
}

TEST(Text, CapturesAreBoundInOrder) {
  std::array<float, 6> bias{0, 1, 2, 3, 4, 5};
  std::array<bool, 2> on{true, false};
  const std::array captures = {view(bias.data(), Dims{2, 3}), view(on.data(), Dims{2})};
  const Program declared = parse_program(
      "score_mod(score, b, h, q, kv; table: f32[2], flag: bool[1]) {\n"
      "  return where(flag[h], table[h][q], table[h, q] * 10.0)\n"
      "}",
      captures);
  EXPECT_EQ(interpret(declared, {.h = 1, .q = 2}).f, 50);
  const Program bare = parse_program("where(t1[h], t0[h][q], t0[h][q] * 10.0)", captures);
  EXPECT_EQ(bare.to_string().find("t0: bool[1], t1: f32[2]") == std::string::npos, false)
      << "slots are numbered by first use: " << bare.to_string();
  EXPECT_EQ(interpret(bare, {.h = 0, .q = 2}).f, 2);
}

TEST(Text, ANameMayStandForAPartOfATensor) {
  std::array<float, 6> bias{0, 1, 2, 3, 4, 5};
  const std::array captures = {view(bias.data(), Dims{2, 3})};
  const Program program = parse_program(
      "score_mod(score, b, h, q, kv; t: f32[2]) { row = t[h] return row[q] + row[kv] }", captures);
  EXPECT_EQ(interpret(program, {.h = 1, .q = 0, .kv = 2}).f, 8);
  EXPECT_NE(program.to_string().find("t0[h][q] + t0[h][kv]"), std::string::npos);
}

TEST(Text, TheSameTensorTwiceStaysTwo) {
  std::array<int32_t, 3> ids{};
  const std::array captures = {view(ids.data(), Dims{3}), view(ids.data(), Dims{3})};
  const Program program = parse_program("t0[q] == t1[kv]", captures);
  EXPECT_EQ(program.captures().size(), 2u);
  EXPECT_EQ(parse_program(program.structure()).structure_hash(), program.structure_hash());
}

TEST(Text, WithoutTensorsCapturesAreUnbound) {
  const Program program =
      parse_program("mask_mod(b, h, q, kv; t0: i16[2]) { return t0[q][kv] < 1 }");
  ASSERT_EQ(program.captures().size(), 1u);
  EXPECT_EQ(program.captures()[0].data, nullptr);
  EXPECT_EQ(program.captures()[0].dtype, DType::i16);
  EXPECT_EQ(program.captures()[0].rank(), 2);
}

TEST(Text, UnusedDeclarationsVanish) {
  const Program program =
      parse_program("mask_mod(b, h, q, kv; a: i32 = 1, t: f32[2], c: i32 = 3) { return q < c }");
  EXPECT_EQ(program.to_string(), "mask_mod(b, h, q, kv; p0: i32 = 3) {\n  return q < p0\n}");
}

TEST(Text, DeepExpressionsArePrintedInParts) {
  std::string text = "q";
  for (int i = 0; i < 60; ++i) text = "(kv - " + text + ")";
  const Program program = parse_program(text);
  const std::string once = program.to_string();
  EXPECT_NE(once.find("v0 = "), std::string::npos);
  EXPECT_EQ(parse_program(once).to_string(), once);
}

TEST(Text, HashesFollowTheStructure) {
  EXPECT_EQ(parse_program("q < 5").structure_hash(), parse_program("q < 6").structure_hash());
  EXPECT_FALSE(parse_program("q < 5").structure_hash() == parse_program("q <= 5").structure_hash());
  EXPECT_FALSE(parse_program("q / 5 < 1").structure_hash() ==
               parse_program("q / 6 < 1").structure_hash());
  EXPECT_EQ(to_string(parse_program("q < 5").structure_hash()).size(), 32u);
}

}  // namespace
}  // namespace fovea
