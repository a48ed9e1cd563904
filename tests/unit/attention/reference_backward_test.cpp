// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "unit/attention/backward_case.h"

namespace fovea::attention {
namespace {

using testing::BackwardCase;
using testing::Sizes;

const auto kCausal = [](auto, auto, auto q, auto kv) { return q >= kv; };

TEST(ReferenceBackwardTest, PlainAttention) { BackwardCase().check(); }

TEST(ReferenceBackwardTest, WithoutKeysAllIsZero) {
  BackwardCase c({.kv_len = 0});
  c.check();
  c = BackwardCase({.q_len = 0});
  c.check();
}

TEST(ReferenceBackwardTest, HeadsInGroups) {
  BackwardCase({.batch = 2, .q_heads = 6, .kv_heads = 2, .value_dim = 1}).check();
}

TEST(ReferenceBackwardTest, OneKeyForAllBatches) {
  BackwardCase({.batch = 3, .q_heads = 2, .kv_heads = 2, .kv_batch = 1}).check();
}

TEST(ReferenceBackwardTest, AScale) {
  BackwardCase c;
  c.options.scale = -1.7;
  c.check();
}

TEST(ReferenceBackwardTest, AMaskWithARowThatSeesNothing) {
  BackwardCase c({.q_len = 4});
  c.options.block_mask = create_block_mask([](auto, auto, auto q, auto kv) { return q > kv; },
                                           {.q_len = 4, .kv_len = 4});
  c.check();
}

TEST(ReferenceBackwardTest, NaNBehindAMaskNeverReachesAGradient) {
  BackwardCase c({.q_len = 4});
  c.options.block_mask = create_block_mask([](auto, auto, auto, auto kv) { return kv != 1; },
                                           {.q_len = 4, .kv_len = 4});
  for (int64_t i = 2; i < 4; ++i) c.at(c.key, i) = std::nan("");
  for (int64_t i = 3; i < 6; ++i) c.at(c.value, i) = std::nan("");
  c.check();
}

TEST(ReferenceBackwardTest, AScoreOfMinusInfinityMasksToo) {
  BackwardCase c;
  c.options.score_mod = score_mod([](auto s, auto, auto, auto q, auto kv) {
    return where(kv == 1 || q == 2, -std::numeric_limits<float>::infinity(), s);
  });
  for (int64_t i = 3; i < 6; ++i) c.at(c.value, i) = std::nan("");
  c.check();
}

TEST(ReferenceBackwardTest, CapturesOfEveryClass) {
  BackwardCase c({.batch = 2, .q_heads = 2, .kv_heads = 1, .q_len = 3, .kv_len = 4});
  const std::vector<int32_t> document{0, 0, 1, 1};
  const auto doc = capture(view(document.data(), {4}));
  const auto scalar = capture(c.normal({2}));
  const auto row = capture(c.normal({2, 3}));
  const auto column = capture(c.normal({4}));
  const auto diagonal = capture(c.normal({2, 7}));
  const auto tile = capture(c.normal({3, 4}));
  const auto gathered = capture(c.normal({2, 2}));
  const auto unused = capture(c.normal({3}));
  c.options.score_mod = score_mod([=](auto s, auto b, auto h, auto q, auto kv) {
    return s * scalar[h] + tanh(row[b][q] * column[kv]) + diagonal[h][q - kv + 3] +
           where(q >= kv, tile[q][kv], s * gathered[doc[q]][doc[kv]]) + 0 * unused[q] + scalar[0];
  });
  ASSERT_EQ(c.options.score_mod.captures().size(), 8U);
  c.check();
}

TEST(ReferenceBackwardTest, WeightsAndTheirCaptures) {
  BackwardCase c({.q_heads = 2, .kv_heads = 1, .q_len = 4});
  const auto gate = capture(c.normal({2, 4}));
  const auto slope = capture(c.normal({2}));
  c.options.score_mod = score_mod(
      [=](auto s, auto, auto h, auto q, auto kv) { return 2 * tanh(s / 2) + slope[h] * (q - kv); });
  c.options.weight_mod = weight_mod(
      [=](auto w, auto, auto h, auto, auto kv) { return w * w * gate[h][kv] + gate[h][0] * w; });
  c.options.block_mask = create_block_mask(kCausal, {.q_len = 4, .kv_len = 4});
  c.check();
}

TEST(ReferenceBackwardTest, Sinks) {
  BackwardCase c({.batch = 2, .q_heads = 2, .kv_heads = 1, .q_len = 4});
  c.sinks = c.normal({2});
  c.options.block_mask = create_block_mask([](auto, auto, auto q, auto kv) { return q > kv; },
                                           {.q_len = 4, .kv_len = 4});
  c.options.weight_mod = weight_mod([](auto w, auto, auto, auto, auto) { return w * (2 - w); });
  c.check();
}

TEST(ReferenceTest, ASinkTakesItsPartOfTheRow) {
  BackwardCase c({.q_len = 1, .kv_len = 1, .head_dim = 1, .value_dim = 1});
  c.at(c.query, 0) = 2;
  c.at(c.key, 0) = 3;
  c.at(c.value, 0) = 5;
  c.sinks = c.normal({1});
  c.at(*c.sinks, 0) = 6 + std::log(3);  // three times the weight of the key
  c.options.scale = 1;
  Problem p = c.problem();
  const TensorView largest = c.normal({1, 1, 1});
  p.max_scores = largest;
  reference(p, default_executor());
  EXPECT_NEAR(c.at(c.out, 0), 5.0 / 4, 1e-14);
  EXPECT_NEAR(c.at(c.lse, 0), 6 + std::log(4), 1e-14);
  EXPECT_EQ(c.at(largest, 0), 6);  // the sink is no score of the row's
}

// Sequences of 2 x 3, 0 x 1 and 2 x 0 behind each other.
void make_jagged(Problem& p) {
  p.batch = 3;
  p.sequences = {{0, 2, 0, 3}, {2, 0, 3, 1}, {2, 2, 4, 0}};
  p.q_len = 2;
  p.kv_len = 3;
}

TEST(ReferenceBackwardTest, JaggedSequences) {
  BackwardCase c({.q_heads = 2, .kv_heads = 1, .q_len = 4, .kv_len = 4});
  const auto bias = capture(c.normal({3, 2, 3}));
  c.options.score_mod =
      score_mod([=](auto s, auto b, auto, auto q, auto kv) { return s + bias[b][q][kv]; });
  c.change = make_jagged;
  c.check();
}

TEST(ReferenceTest, JaggedSequencesAreCallsOfTheirOwn) {
  BackwardCase c({.q_len = 4, .kv_len = 4});
  c.change = make_jagged;
  reference(c.problem(), default_executor());
  std::vector<double> first(2 * 3), lse(2);
  FlexOptions options;
  options.lse = view(lse.data(), {1, 1, 2});
  const auto part = [](const TensorView& t, int64_t rows) {
    TensorView some = t;
    some.sizes[2] = rows;
    return some;
  };
  reference(validate("test", part(c.query, 2), part(c.key, 3), part(c.value, 3),
                     view(first.data(), {1, 1, 2, 3}), options),
            default_executor());
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(c.at(c.out, i), first[static_cast<std::size_t>(i)]);
  for (int64_t i = 0; i < 2; ++i) EXPECT_EQ(c.at(c.lse, i), lse[static_cast<std::size_t>(i)]);
  for (int64_t i = 6; i < 12; ++i) EXPECT_EQ(c.at(c.out, i), 0);  // no keys
}

TEST(ReferenceTest, PagesAreKeysInAnotherOrder) {
  BackwardCase c({.batch = 2, .kv_heads = 1, .kv_len = 4});
  reference(c.problem(), default_executor());
  const std::vector<double> expected(&c.at(c.out, 0), &c.at(c.out, 0) + c.out.numel());
  // Pages of two keys: (b, pair) lies in page 3 - 2 b - pair.
  const std::vector<int32_t> table{3, 2, 1, 0};
  const TensorView key = c.normal({4, 1, 2, 2}), value = c.normal({4, 1, 2, 3});
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t d = 0; d < 4; ++d) c.at(key, (3 - i) * 4 + d) = c.at(c.key, i * 4 + d);
    for (int64_t d = 0; d < 6; ++d) c.at(value, (3 - i) * 6 + d) = c.at(c.value, i * 6 + d);
  }
  c.change = [&](Problem& p) {
    p.key = key;
    p.value = value;
    p.page_table = view(table.data(), {2, 2});
    p.page_size = 2;
  };
  reference(c.problem(), default_executor());
  for (int64_t i = 0; i < c.out.numel(); ++i) {
    EXPECT_EQ(c.at(c.out, i), expected[static_cast<std::size_t>(i)]) << i;
  }
}

TEST(ReferenceBackwardTest, LowerPrecisionIsRoundedOnce) {
  BackwardCase c;
  std::vector<float> q, gradient(6), exact(6);
  for (int64_t i = 0; i < 6; ++i) q.push_back(static_cast<float>(c.at(c.query, i)));
  for (int64_t i = 0; i < 6; ++i)
    c.at(c.query, i) = static_cast<double>(q[static_cast<std::size_t>(i)]);
  BackwardProblem b;
  b.forward = c.problem();
  b.dout = c.dout;
  b.dquery = c.normal(c.query.sizes);
  reference_backward(b);
  const TensorView wide = b.dquery;
  b.forward.query = view(q.data(), c.query.sizes);
  b.dquery = view(gradient.data(), c.query.sizes);
  reference_backward(b);
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(gradient[static_cast<std::size_t>(i)], static_cast<float>(c.at(wide, i)));
  }
}

}  // namespace
}  // namespace fovea::attention
