// SPDX-License-Identifier: Apache-2.0
#include "program/types.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "program/precedence.h"

namespace fovea::program {
namespace {

constexpr auto f32 = ScalarType::f32;
constexpr auto i32 = ScalarType::i32;
constexpr auto boolean = ScalarType::boolean;

constexpr std::array kOps = {
#define FOVEA_OP(name, arity, rule, spelling, cuda) Op::name,
#include "program/ops.def"
#undef FOVEA_OP
};

Signature signature(Op op, std::vector<ScalarType> operands) { return signature_of(op, operands); }

TEST(Types, NamesAreUnique) {
  std::set<std::string> names;
  for (const Op op : kOps) EXPECT_TRUE(names.insert(name_of(op)).second) << name_of(op);
}

// A spelling is an operator exactly where the printer puts one.
TEST(Types, SpellingAndPrecedenceAgree) {
  for (const Op op : kOps) {
    const std::string spelling = spelling_of(op);
    const bool is_operator = !spelling.empty() && !std::isalpha(spelling[0]);
    EXPECT_EQ(is_operator, precedence_of(op) != Precedence::atom) << name_of(op);
  }
}

TEST(Types, ArithmeticPromotes) {
  EXPECT_EQ(signature(Op::add, {i32, i32}).result, i32);
  EXPECT_EQ(signature(Op::add, {boolean, boolean}).result, i32);
  EXPECT_EQ(signature(Op::add, {boolean, boolean}).operands[0], i32);
  EXPECT_EQ(signature(Op::add, {i32, f32}).result, f32);
  EXPECT_EQ(signature(Op::mod, {boolean, f32}).operands[0], f32);
  EXPECT_EQ(signature(Op::neg, {boolean}).result, i32);
}

TEST(Types, FloatingTakesAnything) {
  EXPECT_EQ(signature(Op::div, {i32, i32}).result, f32);
  EXPECT_EQ(signature(Op::exp, {boolean}).operands[0], f32);
  EXPECT_EQ(signature(Op::pow, {i32, f32}).result, f32);
}

TEST(Types, ComparisonsMeetInTheCommonType) {
  EXPECT_EQ(signature(Op::lt, {i32, f32}).operands[0], f32);
  EXPECT_EQ(signature(Op::eq, {boolean, i32}).operands[0], i32);
  EXPECT_EQ(signature(Op::eq, {boolean, boolean}).operands[0], boolean);
  EXPECT_EQ(signature(Op::lt, {i32, f32}).result, boolean);
}

TEST(Types, BitsKeepBools) {
  EXPECT_EQ(signature(Op::bit_and, {boolean, boolean}).result, boolean);
  EXPECT_EQ(signature(Op::bit_and, {boolean, i32}).result, i32);
  EXPECT_EQ(signature(Op::shift_left, {boolean, i32}).result, i32);
}

TEST(Types, WherePromotesItsBranches) {
  const Signature s = signature(Op::where, {boolean, i32, f32});
  EXPECT_EQ(s.operands[0], boolean);
  EXPECT_EQ(s.operands[1], f32);
  EXPECT_EQ(s.result, f32);
}

TEST(Types, WhatShapesTheCode) {
  EXPECT_TRUE(is_shaping(Op::floor_div, 1, i32));
  EXPECT_FALSE(is_shaping(Op::floor_div, 0, i32));
  EXPECT_TRUE(is_shaping(Op::mod, 1, i32));
  EXPECT_FALSE(is_shaping(Op::mod, 1, f32));
  EXPECT_TRUE(is_shaping(Op::pow, 1, f32));
  EXPECT_TRUE(is_shaping(Op::shift_right, 1, i32));
  EXPECT_FALSE(is_shaping(Op::div, 1, f32));
}

TEST(Types, CapturesGiveTheirScalarType) {
  EXPECT_EQ(scalar_type_of(DType::bf16), f32);
  EXPECT_EQ(scalar_type_of(DType::f64), f32);
  EXPECT_EQ(scalar_type_of(DType::u8), i32);
  EXPECT_EQ(scalar_type_of(DType::i64), i32);
  EXPECT_EQ(scalar_type_of(DType::boolean), boolean);
}

}  // namespace
}  // namespace fovea::program
