// SPDX-License-Identifier: Apache-2.0
#include "attention/reference.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>

namespace fovea::attention {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

struct Call {
  Call(int64_t lq, int64_t lk, int64_t e, int64_t ev, int64_t hq = 1, int64_t hkv = 1)
      : q(fill(hq * lq * e, 1)),
        k(fill(hkv * lk * e, 2)),
        v(fill(hkv * lk * ev, 3)),
        out(static_cast<std::size_t>(hq * lq * ev), -99),
        lse(static_cast<std::size_t>(hq * lq), -99),
        query(view(q.data(), {1, hq, lq, e})),
        key(view(k.data(), {1, hkv, lk, e})),
        value(view(v.data(), {1, hkv, lk, ev})),
        result(view(out.data(), {1, hq, lq, ev})) {
    options.lse = view(lse.data(), {1, hq, lq});
  }
  static std::vector<double> fill(int64_t count, uint64_t seed) {
    std::vector<double> x(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(Random(seed).normal(i));
    return x;
  }
  void run() {
    reference(validate("reference_attention", query, key, value, result, options),
              default_executor());
  }

  std::vector<double> q, k, v, out, lse;
  TensorView query, key, value, result;
  FlexOptions options;
};

/// Softmax attention of one head in the most literal way: all exponentials, no maximum.
void expect_plain_attention(const Call& call, int64_t head, int64_t kv_head, double scale) {
  const auto lq = call.query.size(2), lk = call.key.size(2), e = call.query.size(3),
             ev = call.value.size(3);
  for (int64_t i = 0; i < lq; ++i) {
    std::vector<double> weights;
    double sum = 0;
    for (int64_t j = 0; j < lk; ++j) {
      double dot = 0;
      for (int64_t d = 0; d < e; ++d) {
        dot += call.q[static_cast<std::size_t>((head * lq + i) * e + d)] *
               call.k[static_cast<std::size_t>((kv_head * lk + j) * e + d)];
      }
      weights.push_back(std::exp(dot * scale));
      sum += weights.back();
    }
    EXPECT_NEAR(call.lse[static_cast<std::size_t>(head * lq + i)], std::log(sum), 1e-12);
    for (int64_t d = 0; d < ev; ++d) {
      double expected = 0;
      for (int64_t j = 0; j < lk; ++j) {
        expected += weights[static_cast<std::size_t>(j)] / sum *
                    call.v[static_cast<std::size_t>((kv_head * lk + j) * ev + d)];
      }
      EXPECT_NEAR(call.out[static_cast<std::size_t>((head * lq + i) * ev + d)], expected, 1e-12);
    }
  }
}

TEST(ReferenceTest, EqualsTheLiteralFormula) {
  Call call(5, 9, 4, 3);
  call.run();
  expect_plain_attention(call, 0, 0, 0.5);
}

TEST(ReferenceTest, QueryHeadsShareKeyHeads) {
  Call call(3, 4, 2, 2, 6, 2);
  call.options.scale = 1.5;
  call.run();
  for (int64_t h = 0; h < 6; ++h) expect_plain_attention(call, h, h / 3, 1.5);
}

TEST(ReferenceTest, AppliesScoreModAndMaskByHand) {
  Call call(2, 2, 1, 1);
  call.q = {1, 2};
  call.k = {3, 5};
  call.v = {10, 20};
  call.query.data = call.q.data();
  call.key.data = call.k.data();
  call.value.data = call.v.data();
  call.options.scale = 1;
  call.options.score_mod =
      score_mod([](auto s, auto, auto, auto q, auto kv) { return s * 0.5 + (q - kv); });
  call.options.block_mask = create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                              {.q_len = 2, .kv_len = 2});
  call.run();
  EXPECT_DOUBLE_EQ(call.out[0], 10);   // row 0 sees key 0 only
  EXPECT_DOUBLE_EQ(call.lse[0], 1.5);  // 1 * 3 / 2 + 0
  const double a = 2 * 3 * 0.5 + 1, b = 2 * 5 * 0.5;
  EXPECT_NEAR(call.lse[1], std::log(std::exp(a) + std::exp(b)), 1e-14);
  EXPECT_NEAR(call.out[1], (10 * std::exp(a) + 20 * std::exp(b)) / (std::exp(a) + std::exp(b)),
              1e-12);
}

TEST(ReferenceTest, AppliesWeightModAfterTheSoftmax) {
  Call plain(3, 4, 2, 2), call(3, 4, 2, 2);
  const auto causal = [](auto, auto, auto q, auto kv) { return q >= kv; };
  plain.options.block_mask = create_block_mask(causal, {.q_len = 3, .kv_len = 4});
  call.options.block_mask = plain.options.block_mask;
  // Not renormalised, and 1 for what is masked, which must not show.
  call.options.weight_mod = weight_mod([](auto w, auto, auto, auto, auto kv) {
    return where(kv == 0, w * w, where(kv == 1, -w, 1.0));
  });
  plain.run();
  call.run();
  for (std::size_t d = 0; d < 2; ++d) {
    EXPECT_DOUBLE_EQ(call.out[d], plain.out[d]);  // the only weight of row 0 is 1
    // Row 1 of `plain` is w v0 + (1 - w) v1.
    const double w = (plain.out[2 + d] - call.v[2 + d]) / (call.v[d] - call.v[2 + d]);
    EXPECT_NEAR(call.out[2 + d], w * w * call.v[d] - (1 - w) * call.v[2 + d], 1e-9);
  }
  EXPECT_EQ(call.lse, plain.lse);
}

TEST(ReferenceTest, AFullyMaskedRowGivesZeroAndMinusInfinity) {
  Call call(3, 4, 2, 2);
  call.options.block_mask = create_block_mask([](auto, auto, auto q, auto kv) { return q > kv; },
                                              {.q_len = 3, .kv_len = 4});
  call.run();
  EXPECT_EQ(call.out[0], 0);
  EXPECT_EQ(call.out[1], 0);
  EXPECT_EQ(call.lse[0], -kInf);
  EXPECT_TRUE(std::isfinite(call.lse[1]));
}

TEST(ReferenceTest, NoKeysGiveZeroAndMinusInfinity) {
  Call call(2, 0, 2, 2);
  call.run();
  for (const double x : call.out) EXPECT_EQ(x, 0);
  for (const double x : call.lse) EXPECT_EQ(x, -kInf);
}

TEST(ReferenceTest, NaNBehindAMaskNeverLeaks) {
  Call call(2, 3, 2, 2);
  call.options.block_mask = create_block_mask([](auto, auto, auto, auto kv) { return kv != 1; },
                                              {.q_len = 2, .kv_len = 3});
  for (std::size_t d = 2; d < 4; ++d) call.k[d] = call.v[d] = kNan;
  call.run();
  for (const double x : call.out) EXPECT_TRUE(std::isfinite(x));
  for (const double x : call.lse) EXPECT_TRUE(std::isfinite(x));
}

TEST(ReferenceTest, AScoreOfMinusInfinityMasksToo) {
  Call call(2, 3, 2, 2);
  for (std::size_t d = 2; d < 4; ++d) call.v[d] = kNan;
  call.options.score_mod = score_mod([](auto s, auto, auto, auto, auto kv) {
    return where(kv == 1, -std::numeric_limits<float>::infinity(), s);
  });
  call.run();
  for (const double x : call.out) EXPECT_TRUE(std::isfinite(x));
}

TEST(ReferenceTest, AVisibleNaNReachesItsRowOnly) {
  Call call(2, 3, 2, 2);
  call.q[0] = kNan;
  call.run();
  EXPECT_TRUE(std::isnan(call.out[0]));
  EXPECT_TRUE(std::isnan(call.lse[0]));
  EXPECT_TRUE(std::isfinite(call.out[2]));
}

TEST(ReferenceTest, ReadsEveryFloatingDType) {
  Call call(3, 4, 2, 2);
  std::vector<BFloat16> q16, k16, v16, out16(12);
  const auto round = [](std::vector<double>& from, std::vector<BFloat16>& to) {
    for (double& x : from) {
      to.emplace_back(static_cast<float>(x));
      x = static_cast<double>(static_cast<float>(to.back()));
    }
  };
  round(call.q, q16);
  round(call.k, k16);
  round(call.v, v16);
  call.run();
  const std::vector<double> expected = call.out;
  call.query = view(q16.data(), {1, 1, 3, 2});
  call.key = view(k16.data(), {1, 1, 4, 2});
  call.value = view(v16.data(), {1, 1, 4, 2});
  call.result = view(out16.data(), {1, 1, 3, 2});
  call.run();
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(out16[i].bits, BFloat16(static_cast<float>(expected[i])).bits);
  }
}

}  // namespace
}  // namespace fovea::attention
