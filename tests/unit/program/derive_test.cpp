// SPDX-License-Identifier: Apache-2.0
#include "program/derive.h"

#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "program/derive_rules.h"
#include "program/interpret.h"
#include "program/print_joint.h"

namespace fovea {
namespace {

using program::derivative_of;
using program::derive;
using program::Inputs;
using program::JointProgram;
using program::JointState;

constexpr double kInf = HUGE_VAL;

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

// d result / d score at one score.
double slope(const char* text, double score, const Inputs& at = {}) {
  const Program mod = parse_program(text);
  const JointProgram joint = derive(mod.graph(), {});
  JointState state(joint, mod);
  Inputs inputs = at;
  inputs.score = score;
  inputs.dout = 1;
  state.run(inputs);
  return state.value(joint.dscore).f;
}

struct Rule {
  const char* text;
  double (*expected)(double);
};

// Every operation, at points where each of these is smooth.
TEST(Derive, EveryOperationAgainstItsClosedForm) {
  constexpr double kLn2 = std::numbers::ln2;
  static constexpr std::array<Rule, 33> kRules = {{
      {"score + 3.0", [](double) { return 1.0; }},
      {"3.0 - score", [](double) { return -1.0; }},
      {"score - 3.0", [](double) { return 1.0; }},
      {"score * score * 0.5", [](double x) { return x; }},
      {"score / 4.0", [](double) { return 0.25; }},
      {"4.0 / score", [](double x) { return -4 / (x * x); }},
      {"score % 0.75", [](double) { return 1.0; }},
      {"5.5 % score", [](double x) { return -std::floor(5.5 / x); }},
      {"min(score, score * score)", [](double x) { return x < x * x ? 1 : 2 * x; }},
      {"max(score, score * score)", [](double x) { return x > x * x ? 1 : 2 * x; }},
      {"pow(score, 3.0)", [](double x) { return 3 * x * x; }},
      {"pow(score, -1)", [](double x) { return -1 / (x * x); }},
      {"pow(1.5, score)", [](double x) { return std::pow(1.5, x) * std::log(1.5); }},
      {"-score", [](double) { return -1.0; }},
      {"abs(score)", [](double x) { return sign(x); }},
      {"exp(score)", [](double x) { return std::exp(x); }},
      {"exp2(score)", [](double x) { return std::exp2(x) * kLn2; }},
      {"log(abs(score))", [](double x) { return 1 / x; }},
      {"log2(abs(score))", [](double x) { return 1 / (x * kLn2); }},
      {"tanh(score)", [](double x) { return 1 / (std::cosh(x) * std::cosh(x)); }},
      {"sigmoid(score)", [](double x) { return std::exp(-x) / std::pow(1 + std::exp(-x), 2); }},
      {"sqrt(abs(score))", [](double x) { return sign(x) / (2 * std::sqrt(std::fabs(x))); }},
      {"rsqrt(abs(score))", [](double x) { return -sign(x) / (2 * std::pow(std::fabs(x), 1.5)); }},
      {"sin(score)", [](double x) { return std::cos(x); }},
      {"cos(score)", [](double x) { return -std::sin(x); }},
      {"erf(score)", [](double x) { return 2 / std::sqrt(std::numbers::pi) * std::exp(-x * x); }},
      {"floor(score)", [](double) { return 0.0; }},
      {"ceil(score)", [](double) { return 0.0; }},
      {"trunc(score)", [](double) { return 0.0; }},
      {"round(score)", [](double) { return 0.0; }},
      {"where(score < 0.5, score * score, -score)", [](double x) { return x < 0.5 ? 2 * x : -1; }},
      {"f32(i32(score)) + f32(bool(score)) + f32(score < 1.0)", [](double) { return 0.0; }},
      {"score * f32(q / 2 + (kv & 3)) ", [](double) { return 6.0; }},
  }};
  std::set<program::Op> seen;
  for (const Rule& rule : kRules) {
    const Program mod = parse_program(rule.text);
    for (const program::Node& node : mod.graph().nodes) seen.insert(node.op);
    for (const double x : {-2.3, -0.7, 0.3, 1.7, 2.6}) {
      const double expected = rule.expected(x);
      EXPECT_NEAR(slope(rule.text, x, {.q = 9, .kv = 2}), expected,
                  1e-13 * (1 + std::fabs(expected)))
          << rule.text << " at " << x;
    }
  }
  const std::array all = {
#define FOVEA_OP(name, arity, rule, spelling, cuda) program::Op::name,
#include "program/ops.def"
#undef FOVEA_OP
  };
  for (const program::Op op : all) {
    if (op == program::Op::gather || op == program::Op::param) continue;
    if (program::gradient_of(op) == program::Gradient::none) continue;
    EXPECT_TRUE(seen.count(op) == 1 || op == program::Op::constant) << name_of(op);
  }
}

TEST(Derive, TiesAreHalvedAsInTorch) {
  EXPECT_EQ(slope("min(score, f32(q))", 2, {.q = 2}), 0.5);
  EXPECT_EQ(slope("max(f32(q), score)", 2, {.q = 2}), 0.5);
  EXPECT_EQ(slope("max(score, -score)", 0), 0);
  EXPECT_EQ(slope("min(score, score * 1.0 + 0.0)", 3), 1);
  // NaN reaches both, as in torch.
  EXPECT_EQ(slope("max(score, f32(q) * nan)", 2), 1);
}

TEST(Derive, ClampIsInclusive) {
  const char* text = "clamp(score, -1.0, 2.0)";
  for (const double inside : {-1.0, 0.0, 2.0}) EXPECT_EQ(slope(text, inside), 1) << inside;
  for (const double outside : {-1.5, 2.5, kInf, -kInf}) EXPECT_EQ(slope(text, outside), 0);
  EXPECT_EQ(slope("clamp(score, 1.0, 1.0)", 1), 1);
  EXPECT_EQ(slope("clamp(score, 2.0, -1.0)", 0), 0);
  EXPECT_EQ(slope("max(score, 0.0)", 0), 1);
  EXPECT_EQ(slope(text, NAN), 0);
}

TEST(Derive, KinksAndEnds) {
  EXPECT_EQ(slope("abs(score)", 0), 0);
  EXPECT_EQ(slope("abs(score)", -0.0), 0);
  EXPECT_EQ(slope("pow(score, 0.0)", 0), 0);
  EXPECT_EQ(slope("pow(score, f32(q))", 0, {.q = 0}), 0);
  EXPECT_EQ(slope("pow(f32(q), score)", 0, {.q = 0}), 0);
  EXPECT_EQ(slope("pow(score, 1.0)", 0), 1);
  EXPECT_EQ(slope("pow(score, 2.0)", 0), 0);
  EXPECT_EQ(slope("sqrt(score)", 0), kInf);
  EXPECT_EQ(slope("-7.5 % score", 2), 4);
  EXPECT_EQ(slope("score % -3.0", 7), 1);
}

TEST(Derive, TheBranchNotTakenLeaksNothing) {
  EXPECT_EQ(slope("where(score > 0.0, log(score), 0.0)", 0), 0);
  EXPECT_EQ(slope("where(score > 0.0, sqrt(score), score)", 0), 1);
  EXPECT_EQ(slope("where(score == 0.0, 1.0, sin(score) / score)", 0), 0);
  EXPECT_EQ(slope("max(log(score), -2.0)", 0), 0);
  // Through several uses of the same value, under one condition and under two.
  EXPECT_EQ(slope("where(score > 0.0, log(score) + sqrt(score), 5.0 * score)", 0), 5);
  EXPECT_EQ(slope("where(q > 0, 1.0 / score, 0.0) + where(q > 1, log(score), 0.0)", 0), 0);
  EXPECT_EQ(slope("exp(where(score < 0.0, 1.0 / score, where(score > 0.0, log(score), 1.0)))", 0),
            0);
}

TEST(Derive, TheTextOfASoftCappedAlibi) {
  std::array<float, 4> numbers{};
  const Capture slopes(view(numbers.data(), {4}));
  const Program mod = score_mod([&](auto s, auto, auto h, auto q, auto kv) {
    return 30.0 * tanh((s + slopes[h] * (q - kv)) / 30.0);
  });
  const JointProgram joint = derive(mod.graph(), program::all_captures(mod.graph()));
  EXPECT_EQ(print_joint(joint),
            "derivative of score_mod(score, b, h, q, kv; p0: f32, p1: f32, t0: f32[1]) {\n"
            "  v0 = f32(q - kv)\n"
            "  v1 = tanh((score + t0[h] * v0) / p1)\n"
            "  v2 = dout * p0 * (const(1.0) - v1 * v1) / p1\n"
            "  out = p0 * v1\n"
            "  dscore = v2\n"
            "  d t0[h] += v2 * v0\n"
            "}");
}

TEST(Derive, OneContributionARead) {
  std::array<float, 12> numbers{};
  for (std::size_t i = 0; i < 12; ++i) numbers[i] = static_cast<float>(i + 1);
  const Capture table(view(numbers.data(), {3, 4}));
  const Capture bias(view(numbers.data(), {12}));
  const Program mod = score_mod([&](auto s, auto b, auto h, auto q, auto kv) {
    // The same read twice is one read.
    return s * table[b][h] + table[b][h] * table[h][b] + where(q < 12, bias[q], 0.0) * kv;
  });
  const JointProgram joint = derive(mod.graph(), program::all_captures(mod.graph()));
  ASSERT_EQ(joint.captures.size(), 3u);
  JointState state(joint, mod);
  // Far outside of bias, which the condition keeps from being read.
  EXPECT_EQ(state.run({.score = 0.5, .b = 1, .h = 2, .q = 1000, .kv = 3, .dout = 2}),
            0.5 * 7 + 7 * 10);
  EXPECT_EQ(state.value(joint.dscore).f, 2 * 7);
  const auto index = [&](std::size_t c, std::size_t i) {
    return state.value(joint.captures[c].index[i]).i;
  };
  const auto& first = joint.captures[0];
  EXPECT_EQ(first.slot, 0);
  EXPECT_EQ(index(0, 0), 1);
  EXPECT_EQ(index(0, 1), 2);
  EXPECT_EQ(state.value(first.value).f, 2 * (0.5 + 10));
  EXPECT_TRUE(state.holds(first));
  EXPECT_EQ(index(1, 0), 2);
  EXPECT_EQ(index(1, 1), 1);
  EXPECT_EQ(state.value(joint.captures[1].value).f, 2 * 7);
  EXPECT_EQ(joint.captures[2].slot, 1);
  EXPECT_FALSE(state.holds(joint.captures[2]));
  EXPECT_EQ(state.value(joint.captures[2].value).f, 0);
  state.run({.score = 0.5, .b = 1, .h = 2, .q = 11, .kv = 3, .dout = 2});
  EXPECT_TRUE(state.holds(joint.captures[2]));
  EXPECT_EQ(state.value(joint.captures[2].value).f, 2 * 3);
}

TEST(Derive, OnlyWhatIsWanted) {
  std::array<float, 2> numbers{};
  std::array<int32_t, 2> integers{};
  const Capture a(view(numbers.data(), {2})), c(view(numbers.data() + 1, {1}));
  const Capture i(view(integers.data(), {2}));
  const Program mod =
      score_mod([&](auto s, auto, auto h, auto, auto) { return s * a[h] + c[0] * to_float(i[h]); });
  EXPECT_EQ(program::all_captures(mod.graph()).captures, (std::vector<int32_t>{0, 1}));
  EXPECT_TRUE(derive(mod.graph(), {}).captures.empty());
  const JointProgram joint = derive(mod.graph(), {.captures = {1}, .params = {}});
  ASSERT_EQ(joint.captures.size(), 1u);
  EXPECT_EQ(joint.captures[0].slot, 1);
  // Slots are those of the original, though t0 is not needed for dscore alone.
  EXPECT_EQ(joint.graph->captures.size(), 3u);
}

TEST(Derive, Parameters) {
  const Program mod = parse_program(
      "score_mod(score, b, h, q, kv; a: f32 = 3, n: i32 = 2, c: f32 = 0.5) {"
      " return a * tanh(score * c) + f32(n) }");
  const JointProgram joint = derive(mod.graph(), {.captures = {}, .params = {0, 1}});
  ASSERT_EQ(joint.params.size(), 2u);
  JointState state(joint, mod);
  state.run({.score = 0.8, .dout = 1});
  const double t = std::tanh(0.4);
  for (const auto& c : joint.params) {
    EXPECT_NEAR(state.value(c.value).f, c.slot == 0 ? t : 3 * (1 - t * t) * 0.8, 1e-15);
    EXPECT_TRUE(c.index.empty());
  }
}

TEST(Derive, AWeightMod) {
  std::array<float, 3> numbers = {0.5f, 0.25f, 2};
  const Capture gate(view(numbers.data(), {3}));
  const Program mod = weight_mod(
      [&](auto w, auto, auto h, auto q, auto kv) { return where(q == kv, 0, w * gate[h]); });
  const JointProgram joint = derive(mod.graph(), program::all_captures(mod.graph()));
  EXPECT_EQ(print_joint(joint),
            "derivative of weight_mod(w, b, h, q, kv; p0: f32, t0: f32[1]) {\n"
            "  v0 = t0[h]\n"
            "  v1 = q != kv\n"
            "  out = where(q == kv, p0, w * v0)\n"
            "  dw = where(v1, dout * v0, const(0.0))\n"
            "  if (v1) d t0[h] += dout * w\n"
            "}");
}

TEST(Derive, TheResultIsTheModsOwn) {
  const Program mod = parse_program("exp(score) * 2.0 + f32(q - kv)");
  const JointProgram joint = derive(mod.graph(), {});
  JointState state(joint, mod);
  const Inputs at{.score = 0.3, .q = 5, .kv = 7, .dout = 4};
  EXPECT_EQ(state.run(at), program::interpret(mod, at).f);
}

TEST(Derive, WhatDoesNotDependOnTheScore) {
  EXPECT_EQ(slope("f32(q - kv) * 0.5", 1), 0);
  EXPECT_EQ(print_joint(derive(parse_program("f32(q)").graph(), {})),
            "derivative of score_mod(score, b, h, q, kv) {\n"
            "  out = f32(q)\n"
            "  dscore = const(0.0)\n"
            "}");
}

TEST(Derive, TwiceGivesTheSecondDerivative) {
  struct Case {
    const char* text;
    double (*second)(double);
  };
  static constexpr std::array<Case, 6> kCases = {{
      {"pow(score, 3.0)", [](double x) { return 6 * x; }},
      {"exp(score * 2.0)", [](double x) { return 4 * std::exp(2 * x); }},
      {"20.0 * tanh(score / 20.0)",
       [](double x) {
         const double t = std::tanh(x / 20);
         return -t * (1 - t * t) / 10;
       }},
      {"sin(score) * score", [](double x) { return 2 * std::cos(x) - x * std::sin(x); }},
      {"where(score < 0.5, log(abs(score)), 1.0 / score)",
       [](double x) { return x < 0.5 ? -1 / (x * x) : 2 / (x * x * x); }},
      {"abs(score)", [](double) { return 0.0; }},
  }};
  for (const Case& c : kCases) {
    const Program second = derivative_of(derivative_of(parse_program(c.text)));
    EXPECT_EQ(second.kind(), ModKind::score);
    for (const double x : {-1.3, 0.2, 0.9}) {
      const double expected = c.second(x);
      EXPECT_NEAR(program::interpret(second, {.score = x}).f, expected,
                  1e-12 * (1 + std::fabs(expected)))
          << c.text << " at " << x << "\n"
          << second.to_string();
    }
  }
  // It is a program like any other.
  const Program first = derivative_of(parse_program("score * score"));
  EXPECT_EQ(parse_program(first.to_string()).to_string(), first.to_string());
}

TEST(Derive, WhyAGradientIsZero) {
  std::array<float, 2> numbers{};
  const Capture table(view(numbers.data(), {2}));
  const Program mod = score_mod([&](auto s, auto, auto h, auto, auto) {
    return where(table[h] < 0.5, s, floor(table[h] * 2.0)) + to_int(table[0]);
  });
  const JointProgram joint = derive(mod.graph(), program::all_captures(mod.graph()));
  EXPECT_TRUE(joint.captures.empty());
  EXPECT_EQ(program::stopping_ops(mod.graph(), 0),
            (std::vector<program::Op>{program::Op::lt, program::Op::floor, program::Op::to_i32}));
}

}  // namespace
}  // namespace fovea
