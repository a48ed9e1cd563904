// SPDX-License-Identifier: Apache-2.0
#include "program/simplify.h"

#include <array>
#include <ostream>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace fovea {
namespace {

std::string simplified(const std::string& text) {
  const std::string whole = simplify(parse_program(text)).structure();
  const std::size_t begin = whole.find("{\n  ") + 4;
  std::string body = whole.substr(begin, whole.size() - begin - 2);
  return body.starts_with("return ") ? body.substr(7) : body;
}

struct Rule {
  const char* before;
  const char* after;
};
void PrintTo(const Rule& rule, std::ostream* out) { *out << rule.before; }

class SimplifyRule : public testing::TestWithParam<Rule> {};

TEST_P(SimplifyRule, Holds) {
  EXPECT_EQ(simplified(GetParam().before), GetParam().after) << GetParam().before;
}

INSTANTIATE_TEST_SUITE_P(
    Logic, SimplifyRule,
    testing::Values(Rule{"q < kv && true", "q < kv"}, Rule{"false && q < kv", "false"},
                    Rule{"q < kv || true", "true"}, Rule{"false || q < kv", "q < kv"},
                    Rule{"q < kv && q < kv", "q < kv"}, Rule{"q < kv || !(q < kv)", "true"},
                    Rule{"q < kv && q >= kv", "false"}, Rule{"q != kv || q == kv", "true"},
                    Rule{"q < kv && (q < kv || b < h)", "q < kv"},
                    Rule{"q < kv && (b < h && q < kv)", "b < h && q < kv"},
                    Rule{"!!(q < kv)", "q < kv"}, Rule{"!(q < kv)", "kv <= q"},
                    Rule{"!(q <= kv)", "kv < q"}, Rule{"!(q == kv)", "q != kv"},
                    Rule{"(q < kv) & (b < h)", "q < kv && b < h"},
                    Rule{"(q < kv) | (b < h)", "q < kv || b < h"},
                    Rule{"(q < kv) ^ true", "kv <= q"}, Rule{"(q < kv) == true", "q < kv"},
                    Rule{"(q < kv) != true", "kv <= q"}));

INSTANTIATE_TEST_SUITE_P(
    Integers, SimplifyRule,
    testing::Values(Rule{"q - q == kv", "const(0) == kv"}, Rule{"q == q", "true"},
                    Rule{"q < q", "false"}, Rule{"q <= q", "true"}, Rule{"q != q", "false"},
                    Rule{"q / 1 == kv", "q == kv"}, Rule{"q % 1 == kv", "const(0) == kv"},
                    Rule{"q % 8 % 8 == kv", "q % 8 == kv"}, Rule{"q / 8 / 4 == kv", "q / 32 == kv"},
                    Rule{"q << 0 == kv", "q == kv"}, Rule{"- -q == kv", "q == kv"},
                    Rule{"-(q - kv) == b", "kv - q == b"}, Rule{"q + -kv == b", "q - kv == b"},
                    Rule{"q - -kv == b", "q + kv == b"}, Rule{"-q + kv == b", "kv - q == b"},
                    Rule{"min(q, q) == kv", "q == kv"}, Rule{"abs(-q) == kv", "abs(q) == kv"},
                    Rule{"abs(abs(q)) == kv", "abs(q) == kv"}, Rule{"~~q == kv", "q == kv"},
                    Rule{"(q & q) == kv", "q == kv"}, Rule{"(q ^ q) == kv", "const(0) == kv"},
                    Rule{"q * const(1) + const(0) == kv", "q == kv"},
                    Rule{"q * const(0) == kv", "const(0) == kv"},
                    Rule{"(q | const(-1)) == kv", "const(-1) == kv"}));

INSTANTIATE_TEST_SUITE_P(Select, SimplifyRule,
                         testing::Values(Rule{"where(q < kv, score, score)", "score"},
                                         Rule{"where(true, score, 0.0)", "score"},
                                         Rule{"where(!(q == kv), score, f32(q))",
                                              "where(q != kv, score, f32(q))"},
                                         Rule{"where(q < kv, b < h, false)", "q < kv && b < h"},
                                         Rule{"where(q < kv, true, b < h)", "q < kv || b < h"},
                                         Rule{"where(q < kv, false, b < h)", "kv <= q && b < h"},
                                         Rule{"where(q < kv, b < h, true)", "kv <= q || b < h"},
                                         Rule{"where(q < kv, where(q < kv, score, 1.0), f32(h))",
                                              "where(q < kv, score, f32(h))"}));

INSTANTIATE_TEST_SUITE_P(
    Floats, SimplifyRule,
    testing::Values(Rule{"- -score", "score"}, Rule{"score + -f32(q)", "score - f32(q)"},
                    Rule{"score * const(1.0)", "score"}, Rule{"score / const(1.0)", "score"},
                    Rule{"score * const(-1.0)", "-score"}, Rule{"pow(score, 1)", "score"},
                    Rule{"pow(score, 0)", "const(1.0)"}, Rule{"score - const(0.0)", "score"},
                    Rule{"score + const(-0.0)", "score"}, Rule{"floor(f32(q))", "f32(q)"},
                    Rule{"floor(round(score))", "round(score)"},
                    Rule{"f32(i32(q < kv))", "f32(q < kv)"},
                    Rule{"f32(i32(trunc(score)))", "f32(i32(score))"},
                    Rule{"f32(bool(f32(q)))", "f32(bool(q))"}));

// What looks alike and would change a bit.
INSTANTIATE_TEST_SUITE_P(
    StaysAsItIs, SimplifyRule,
    testing::Values(Rule{"score - score", "score - score"},
                    Rule{"where(score == score, 1.0, 2.0)", "where(score == score, p0, p1)"},
                    Rule{"where(!(score < 1.0) && b < h, 1.0, 2.0)",
                         "where(!(score < p0) && b < h, p1, p2)"},
                    Rule{"score + const(0.0)", "score + const(0.0)"},
                    Rule{"score * const(0.0)", "score * const(0.0)"},
                    Rule{"-(score - f32(q))", "-(score - f32(q))"},
                    Rule{"pow(score, 2)", "pow(score, 2.0)"}, Rule{"score * 1.0", "score * p0"},
                    Rule{"q % 0 == kv", "q % 0 == kv"},
                    Rule{"q / 8 / -4 == kv", "q / 8 / -4 == kv"},
                    Rule{"f32(i32(f32(q)))", "f32(i32(f32(q)))"}));

TEST(Simplify, KeepsTheOrderOfWhatIsLeft) {
  const Program program = parse_program("q < 1 && (kv < 2 && true) && q - q == 3 && b < 4");
  const Program simple = simplify(program);
  ASSERT_EQ(simple.params().size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(simple.params()[i].i, static_cast<int64_t>(i) + 1);
  }
}

TEST(Simplify, ABoundFormServesOtherValues) {
  std::array<int32_t, 4> a{};
  std::array<int32_t, 4> b{};
  const auto make = [](int32_t* used, int32_t* dropped, int64_t limit) {
    const Capture kept = capture(view(used, Dims{4}));
    const Capture gone = capture(view(dropped, Dims{2, 2}));
    return mask_mod([=](auto, auto, auto q, auto kv) {
      return where(q == 7, gone[q][kv] - gone[q][kv], 0) < limit * 0 + 1 && kept[q] < limit;
    });
  };
  const Program first = make(a.data(), b.data(), 10);
  const Program second = make(b.data(), a.data(), 20);
  ASSERT_EQ(first.structure_hash(), second.structure_hash());
  const program::Simplified kept = program::simplify_graph(first.graph());
  ASSERT_EQ(kept.captures.size(), 1u);
  const Program bound = kept.bind(second);
  EXPECT_EQ(bound.to_string(), simplify(second).to_string());
  EXPECT_EQ(bound.captures()[0].data, b.data());
  EXPECT_EQ(bound.params().back().i, 20);
}

}  // namespace
}  // namespace fovea
