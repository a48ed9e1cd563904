// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "program/interpret.h"

namespace fovea {
namespace {

// The returned expression of a mod, as text.
template <class F>
std::string mask_text(F&& mod) {
  const std::string text = mask_mod(mod).structure();
  const std::size_t begin = text.find("return ") + 7;
  return text.substr(begin, text.size() - begin - 2);
}
template <class F>
std::string score_text(F&& mod) {
  const std::string text = score_mod(mod).structure();
  const std::size_t begin = text.find("return ") + 7;
  return text.substr(begin, text.size() - begin - 2);
}

TEST(Trace, Comparisons) {
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return q >= kv; }), "kv <= q");
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return q > kv; }), "kv < q");
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return q < kv; }), "q < kv");
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return q <= kv; }), "q <= kv");
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return q == kv; }), "q == kv");
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return q != kv; }), "q != kv");
}

TEST(Trace, LogicWithLiteralBools) {
  const auto both = [](auto, auto, auto q, auto kv) { return q >= kv && true; };
  const auto reversed = [](auto, auto, auto q, auto kv) { return false || q >= kv; };
  EXPECT_EQ(mask_text(both), "kv <= q && true");
  EXPECT_EQ(mask_text(reversed), "false || kv <= q");
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return !(q == kv || q < kv); }),
            "!(q == kv || q < kv)");
}

TEST(Trace, PlainBoolAndNumberResults) {
  EXPECT_EQ(mask_text([](auto, auto, auto, auto) { return true; }), "true");
  EXPECT_EQ(score_text([](auto, auto, auto, auto, auto) { return 0; }), "p0");
  EXPECT_EQ(score_text([](auto, auto b, auto, auto, auto) { return b; }), "f32(b)");
}

TEST(Trace, IntegerAndFloatDivision) {
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return q / 4 == kv % 4; }),
            "q / 4 == kv % 4");
  EXPECT_EQ(score_text([](auto s, auto, auto, auto q, auto) { return s / q; }), "score / f32(q)");
  EXPECT_EQ(score_text([](auto s, auto, auto, auto q, auto) { return s + q / 2.0; }),
            "score + f32(q) / p0");
}

TEST(Trace, Functions) {
  EXPECT_EQ(score_text([](auto s, auto, auto, auto q, auto kv) {
              return where(q >= kv, tanh(s), -INFINITY) + exp(s) + exp2(s) + log(s) + log2(s);
            }),
            "where(kv <= q, tanh(score), -inf) + exp(score) + exp2(score) + log(score) + "
            "log2(score)");
  EXPECT_EQ(score_text([](auto s, auto, auto, auto, auto) {
              return sigmoid(s) + sqrt(s) + rsqrt(s) + sin(s) + cos(s) + erf(s) + abs(s);
            }),
            "sigmoid(score) + sqrt(score) + rsqrt(score) + sin(score) + cos(score) + erf(score) + "
            "abs(score)");
  EXPECT_EQ(score_text([](auto s, auto, auto, auto, auto) {
              return floor(s) + ceil(s) + trunc(s) + round(s) + pow(s, 3) + (-s) + (+s);
            }),
            "floor(score) + ceil(score) + trunc(score) + round(score) + pow(score, 3.0) + -score + "
            "score");
  EXPECT_EQ(score_text([](auto s, auto, auto h, auto, auto) {
              return clamp(s, -1.0, 1.0) + min(h, 2) + max(h, 3);
            }),
            "min(max(score, p0), p1) + f32(min(h, p2)) + f32(max(h, p3))");
}

TEST(Trace, BitsAndCasts) {
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return (((q ^ kv) & ~q) | q) == kv; }),
            "((q ^ kv) & ~q | q) == kv");
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return (q << 2) + (kv >> 1) == 0; }),
            "(q << 2) + (kv >> 1) == p0");
  EXPECT_EQ(mask_text([](auto, auto, auto q, auto kv) { return ~(q == kv) & (q < kv); }),
            "!(q == kv) & q < kv");
  EXPECT_EQ(score_text([](auto s, auto, auto, auto, auto) {
              return s + to_int(s) + to_float(to_bool(s));
            }),
            "score + f32(i32(score)) + f32(bool(score))");
}

TEST(Trace, EitherKindByTheNumberOfParameters) {
  EXPECT_EQ(trace([](auto, auto, auto q, auto kv) { return q >= kv; }).kind(), ModKind::mask);
  EXPECT_EQ(trace([](auto s, auto, auto, auto, auto) { return s * 2; }).kind(), ModKind::score);
}

TEST(Trace, AWeightMod) {
  std::array<float, 3> gates{};
  const Capture gate(view(gates.data(), {3}));
  const Program program = weight_mod(
      [&](auto w, auto, auto h, auto q, auto kv) { return where(q == kv, 0, w * gate[h]); });
  EXPECT_EQ(program.kind(), ModKind::weight);
  EXPECT_EQ(program.to_string(),
            "weight_mod(w, b, h, q, kv; p0: f32 = 0.0, t0: f32[1]) {\n"
            "  return where(q == kv, p0, w * t0[h])\n"
            "}");
  const Program integer = weight_mod([](auto, auto, auto, auto q, auto) { return q; });
  EXPECT_EQ(integer.structure(), "weight_mod(w, b, h, q, kv) {\n  return f32(q)\n}");
  // The same text but for its head: another structure.
  EXPECT_NE(integer.structure_hash(),
            score_mod([](auto, auto, auto, auto q, auto) { return q; }).structure_hash());
}

TEST(Trace, TheTypeOfAValueIsKnown) {
  mask_mod([](auto, auto, auto q, auto kv) {
    EXPECT_EQ(q.type(), ScalarType::i32);
    EXPECT_EQ((q < kv).type(), ScalarType::boolean);
    EXPECT_EQ((q * 0.5).type(), ScalarType::f32);
    return q < kv;
  });
}

TEST(Trace, CapturesOfAnyRank) {
  std::array<float, 12> floats{};
  std::array<int64_t, 4> longs{};
  float scale = 2;
  const Capture bias = capture(view(floats.data(), Dims{3, 4}));
  const Capture ids = capture(view(longs.data(), Dims{4}));
  const Capture number = capture(view(&scale, Dims{}));
  const Program program = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
    return s * number + bias[h][ids[q]] + bias(h, ids[kv]) + number * 2;
  });
  EXPECT_EQ(program.to_string(),
            "score_mod(score, b, h, q, kv; p0: f32 = 2.0, t0: f32[0], t1: f32[2], t2: i64[1]) {\n"
            "  return score * t0 + t1[h][t2[q]] + t1[h][t2[kv]] + t0 * p0\n}");
  EXPECT_EQ(program.captures()[1].data, floats.data());
}

TEST(Trace, ANestedTraceIsItsOwn) {
  const Program outer = mask_mod([](auto, auto, auto q, auto kv) {
    const Program inner = mask_mod([](auto, auto, auto x, auto y) { return x < y; });
    EXPECT_EQ(inner.graph().size(), 3);
    return q >= kv;
  });
  EXPECT_EQ(outer.graph().size(), 3);
}

TEST(Trace, MasksCombine) {
  const Program causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  const Program window = mask_mod([](auto, auto, auto q, auto kv) { return q - kv < 5; });
  EXPECT_EQ(and_masks(causal, window).to_string(),
            "mask_mod(b, h, q, kv; p0: i32 = 5) {\n  return kv <= q && q - kv < p0\n}");
  EXPECT_EQ(or_masks(window, window).params().size(), 2u);
  EXPECT_EQ(not_mask(causal).structure(), "mask_mod(b, h, q, kv) {\n  return !(kv <= q)\n}");
}

TEST(Trace, CombinedMasksShareTheirTensors) {
  std::array<int32_t, 4> ids{};
  const Capture doc = capture(view(ids.data(), Dims{4}));
  const Program a = mask_mod([=](auto, auto, auto q, auto kv) { return doc[q] == doc[kv]; });
  const Program b = mask_mod([=](auto, auto, auto q, auto) { return doc[q] < 3; });
  const Program both = and_masks(a, b);
  EXPECT_EQ(both.captures().size(), 1u);
  EXPECT_EQ(program::interpret(both, {.q = 1, .kv = 2}).i, 1);
}

TEST(Trace, EveryArithmeticLiteral) {
  const Program program = score_mod([](auto s, auto, auto, auto, auto) {
    return s + 1 + 1u + 1l + 1ul + short{1} + static_cast<unsigned char>(1) + 1.0f + 1.0 + 1.0l +
           static_cast<int>('\1');
  });
  EXPECT_EQ(program.params().size(), 10u);
  EXPECT_EQ(program::interpret(program, {.score = 0.5}).f, 10.5);
}

}  // namespace
}  // namespace fovea
