// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "error/program/error_text.h"

namespace fovea {
namespace {

std::string parse_error(const std::string& text, std::span<const TensorView> captures = {}) {
  return test::error_text([&] { parse_program(text, captures); });
}

struct Case {
  const char* text;
  const char* message;  // after `[parse_program] `
};
void PrintTo(const Case& item, std::ostream* out) { *out << item.text; }

class ParseError : public testing::TestWithParam<Case> {};

TEST_P(ParseError, SaysWhereAndWhat) {
  EXPECT_EQ(parse_error(GetParam().text), std::string("[parse_program] ") + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Expressions, ParseError,
    testing::Values(
        Case{"", "line 1, column 1: expected an expression, got end of text"},
        Case{"q <", "line 1, column 4: expected an expression, got end of text"},
        Case{"q < kv)", "line 1, column 7: expected an operator or end of text, got ')'"},
        Case{"q < kv q", "line 1, column 8: expected an operator or end of text, got 'q'"},
        Case{"(q < kv", "line 1, column 8: expected ')', got end of text"},
        Case{"q <\n  $", "line 2, column 3: expected a program, got '$'"},
        Case{"q < \xc3\xa9", "line 1, column 5: expected a program, got byte 0xc3"},
        Case{"q < key", "line 1, column 5: expected a name of this program, got 'key'"},
        Case{"q < t0[q]", "line 1, column 5: expected a name of this program, got 't0'"},
        Case{"q < f(kv)", "line 1, column 5: expected a function, got 'f'"},
        Case{"min(q) < kv", "line 1, column 6: expected ',', got ')'"},
        Case{"min(q, kv, b) < kv", "line 1, column 10: expected ')', got ','"},
        Case{"min < q", "line 1, column 1: expected a name of this program, got 'min'"},
        Case{"q < kv < b",
             "line 1, column 8: expected parentheses around one of two comparisons, got '<'"},
        Case{"q == kv == b",
             "line 1, column 9: expected parentheses around one of two comparisons, got '=='"}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, ParseError,
    testing::Values(Case{"q < 3x", "line 1, column 5: expected a number, got '3x'"},
                    Case{"q < 1.5.2", "line 1, column 5: expected a number, got '1.5.'"},
                    Case{"q < 0x",
                         "line 1, column 5: expected an integer of at most 64 bits, got '0x'"},
                    Case{"q < 9223372036854775808",
                         "line 1, column 5: expected an integer of at most 64 bits, got "
                         "'9223372036854775808'"},
                    Case{"q < 99999999999999999999",
                         "line 1, column 5: expected an integer of at most 64 bits, got "
                         "'99999999999999999999'"},
                    Case{"score < 1e999",
                         "line 1, column 9: expected a number that 64 bits can hold, got '1e999'"},
                    Case{"q < const(kv)", "line 1, column 11: expected a number, got 'kv'"},
                    Case{"q < const(-true)", "line 1, column 12: expected a number, got 'true'"}));

INSTANTIATE_TEST_SUITE_P(
    Types, ParseError,
    testing::Values(
        Case{"q && kv", "line 1, column 3: operands of &&: expected bool, got i32, i32"},
        Case{"score & 1",
             "line 1, column 7: operands of &: expected integers or bools, got f32, i32"},
        Case{"where(q, kv, b)", "line 1, column 1: condition of where: expected bool, got i32"},
        Case{"q[kv]",
             "line 1, column 2: indexing with []: expected a captured tensor, got a number"},
        Case{"score < 1.0",
             "line 1, column 1: result of an expression that reads score: expected "
             "f32, got bool"},
        Case{"mask_mod(b, h, q, kv) { return q }",
             "line 1, column 25: result of a mask_mod: expected bool, got i32"},
        Case{"score_mod(s, b, h, q, kv) { return q < kv }",
             "line 1, column 29: result of a score_mod: expected f32, got bool"},
        Case{"mask_mod(b, h, q, kv; t: f32[2]) { return t[q] < 1 }",
             "line 1, column 48: captured tensor t0 used as a number: expected 2 indices (its "
             "rank), got 1"},
        Case{"mask_mod(b, h, q, kv; t: f32[1]) { return t[q, kv] < 1 }",
             "line 1, column 44: indices of captured tensor t0: expected at most 1 (its rank), got "
             "2"}));

INSTANTIATE_TEST_SUITE_P(
    Programs, ParseError,
    testing::Values(
        Case{"mask_mod", "line 1, column 9: expected '(', got end of text"},
        Case{"mask_mod(b, h, q) { return true }", "line 1, column 17: expected ',', got ')'"},
        Case{"mask_mod(s, b, h, q, kv) { return true }",
             "line 1, column 20: expected ')', got ','"},
        Case{"mask_mod(b, h, q, 3) { return true }",
             "line 1, column 19: expected the name of an input, got '3'"},
        Case{"mask_mod(b, h, q, q) { return true }",
             "line 1, column 19: expected a new name, got 'q' again"},
        Case{"mask_mod(b, h, q, min) { return true }",
             "line 1, column 19: expected a name that is free, got a word of the language"},
        Case{"mask_mod(b, h, q, kv;) { return true }",
             "line 1, column 22: expected the name of a parameter or captured tensor, got ')'"},
        Case{"mask_mod(b, h, q, kv; p) { return true }",
             "line 1, column 24: expected ':', got ')'"},
        Case{"mask_mod(b, h, q, kv; p: int) { return true }",
             "line 1, column 26: expected a type, got 'int'"},
        Case{"mask_mod(b, h, q, kv; p: bf16) { return true }",
             "line 1, column 26: expected f32, i32, bool or a tensor type, got 'bf16'"},
        Case{"mask_mod(b, h, q, kv; p: i32 = 1.5) { return true }",
             "line 1, column 32: expected i32, got f32"},
        Case{"mask_mod(b, h, q, kv; p: i32 = q) { return true }",
             "line 1, column 32: expected a number, got 'q'"},
        Case{"mask_mod(b, h, q, kv; t: f32[x]) { return true }",
             "line 1, column 30: expected the rank of the tensor, got 'x'"},
        Case{"mask_mod(b, h, q, kv; t: f32[17]) { return true }",
             "line 1, column 30: expected a rank of at most 16, got '17'"},
        Case{"mask_mod(b, h, q, kv) { q < kv }", "line 1, column 27: expected '=', got '<'"},
        Case{"mask_mod(b, h, q, kv) { }",
             "line 1, column 25: expected a name or 'return', got '}'"},
        Case{"mask_mod(b, h, q, kv) { q = kv return true }",
             "line 1, column 25: expected a new name, got 'q' again"},
        Case{"mask_mod(b, h, q, kv) { return true",
             "line 1, column 36: expected '}', got end of text"},
        Case{"mask_mod(b, h, q, kv) { return true } x",
             "line 1, column 39: expected end of text, got 'x'"}));

TEST(ParseErrorLimits, Nesting) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '(') + "q < kv" + std::string(depth, ')');
  };
  EXPECT_EQ(parse_error(nested(150)), "");
  EXPECT_EQ(parse_error(nested(100000)),
            "[parse_program] line 1, column 201: expected at most 200 nested expressions, got "
            "more");
  EXPECT_EQ(parse_error(std::string(100000, '-') + "q < kv"),
            "[parse_program] line 1, column 200: expected at most 200 nested expressions, got "
            "more");
  std::string indices = "q";
  for (int i = 0; i < 300; ++i) indices = "min(q, " + indices;
  EXPECT_NE(parse_error(indices), "");
}

TEST(ParseErrorLimits, Size) {
  EXPECT_EQ(parse_error(std::string((16u << 20) + 1, ' ')),
            "[parse_program] size of the text: expected at most 16777216 bytes, got 16777217");
  std::string sum = "q";
  for (int i = 0; i < 70000; ++i) sum += i % 2 == 0 ? " + kv" : " * h - b";
  EXPECT_NE(parse_error("(" + sum + ") < 1").find("expected at most 65535 nodes"),
            std::string::npos);
  std::string literals = "q";
  for (int i = 0; i < 300000; ++i) literals += "+1";
  EXPECT_NE(parse_error(literals).find("expected at most 65535 nodes, got more"),
            std::string::npos);
}

TEST(ParseErrorCaptures, TensorsThatDoNotFit) {
  std::array<float, 4> data{};
  const std::array tensors = {view(data.data(), Dims{4})};
  EXPECT_EQ(parse_error("mask_mod(b, h, q, kv) { return q < kv }", tensors),
            "[parse_program] number of captured tensors: expected 0, got 1");
  EXPECT_EQ(parse_error("mask_mod(b, h, q, kv; t0: f32[1], t1: f32[1]) { return t1[q] < t0[q] }",
                        tensors),
            "[parse_program] number of captured tensors: expected 2, got 1");
  EXPECT_EQ(parse_error("mask_mod(b, h, q, kv; t0: i32[1]) { return t0[q] < 1 }", tensors),
            "[parse_program] line 1, column 23: expected a tensor i32[1], got f32[1]");
  EXPECT_EQ(parse_error("t1[q] < 1", tensors),
            "[parse_program] line 1, column 1: expected a name of this program, got 't1'");
}

}  // namespace
}  // namespace fovea
