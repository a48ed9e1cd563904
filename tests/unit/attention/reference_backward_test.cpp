// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "attention/reference.h"
#include "attention/validate_backward.h"
#include "training_call.h"

namespace fovea::attention {
namespace {

using Case = test::TrainingCall<double>;
using Change = std::function<void(Problem&)>;  // to what no option says

void reference_of(Problem p, const Change& change) {
  if (change) change(p);
  reference(p, default_executor());
}

test::Engine engine(const Change& change = nullptr) {
  test::Engine both;
  both.forward = [change](const TensorView& query, const TensorView& key, const TensorView& value,
                          const TensorView& out, const FlexOptions& options) {
    reference_of(validate("test", query, key, value, out, options), change);
  };
  both.backward = [change](const TensorView& query, const TensorView& key, const TensorView& value,
                           const BackwardInputs& saved, const FlexGradients& gradients,
                           const FlexOptions& options) {
    BackwardProblem b =
        validate_backward("test", query, key, value, saved, gradients, options, Saved::gradients);
    if (change) change(b.forward);
    reference_backward(b);
  };
  return both;
}

void check(const Case& call, const Change& change = nullptr) {
  call.check_by_differences(engine(change));
}

TEST(ReferenceBackwardTest, PlainAttention) { check(Case()); }

TEST(ReferenceBackwardTest, WithoutQueriesOrKeysThereIsNothingToAdd) {
  check(Case({.kv_len = 0}));
  check(Case({.q_len = 0}));
}

TEST(ReferenceBackwardTest, HeadsInGroups) {
  check(Case({.batch = 2, .q_heads = 6, .kv_heads = 2, .value_dim = 1}));
}

TEST(ReferenceBackwardTest, OneKeyForAllBatches) {
  check(Case({.batch = 3, .q_heads = 2, .kv_heads = 2, .kv_batch = 1}));
}

TEST(ReferenceBackwardTest, AScale) {
  Case c;
  c.options.scale = -1.7;
  check(c);
}

TEST(ReferenceBackwardTest, AMaskWithARowThatSeesNothing) {
  Case c({.q_len = 4});
  c.options.block_mask = create_block_mask([](auto, auto, auto q, auto kv) { return q > kv; },
                                           {.q_len = 4, .kv_len = 4});
  check(c);
}

TEST(ReferenceBackwardTest, NaNBehindAMaskNeverReachesAGradient) {
  Case c({.q_len = 4});
  c.options.block_mask = create_block_mask([](auto, auto, auto, auto kv) { return kv != 1; },
                                           {.q_len = 4, .kv_len = 4});
  for (int64_t i = 2; i < 4; ++i) Case::at(c.key, i) = std::nan("");
  for (int64_t i = 3; i < 6; ++i) Case::at(c.value, i) = std::nan("");
  check(c);
}

TEST(ReferenceBackwardTest, AScoreOfMinusInfinityMasksToo) {
  Case c;
  c.options.score_mod = score_mod([](auto s, auto, auto, auto q, auto kv) {
    return where(kv == 1 || q == 2, -std::numeric_limits<float>::infinity(), s);
  });
  for (int64_t i = 3; i < 6; ++i) Case::at(c.value, i) = std::nan("");
  check(c);
}

TEST(ReferenceBackwardTest, CapturesOfEveryClass) {
  Case c({.batch = 2, .q_heads = 2, .kv_heads = 1, .q_len = 3, .kv_len = 4});
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
  check(c);
}

TEST(ReferenceBackwardTest, WeightsAndTheirCaptures) {
  Case c({.q_heads = 2, .kv_heads = 1, .q_len = 4});
  const auto gate = capture(c.normal({2, 4}));
  const auto slope = capture(c.normal({2}));
  c.options.score_mod = score_mod(
      [=](auto s, auto, auto h, auto q, auto kv) { return 2 * tanh(s / 2) + slope[h] * (q - kv); });
  c.options.weight_mod = weight_mod(
      [=](auto w, auto, auto h, auto, auto kv) { return w * w * gate[h][kv] + gate[h][0] * w; });
  c.options.block_mask = create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                           {.q_len = 4, .kv_len = 4});
  check(c);
}

TEST(ReferenceBackwardTest, AWeightOfZeroHandsNothingOn) {
  Case c({.q_len = 4});
  c.options.weight_mod =
      weight_mod([](auto w, auto, auto, auto, auto kv) { return where(kv == 1, 0.0, 2 * w); });
  for (int64_t i = 3; i < 6; ++i) Case::at(c.value, i) = std::nan("");
  check(c);
}

TEST(ReferenceBackwardTest, Sinks) {
  Case c({.batch = 2, .q_heads = 2, .kv_heads = 1, .q_len = 4});
  c.options.sinks = c.normal({2});
  c.options.block_mask = create_block_mask([](auto, auto, auto q, auto kv) { return q > kv; },
                                           {.q_len = 4, .kv_len = 4});
  c.options.weight_mod = weight_mod([](auto w, auto, auto, auto, auto) { return w * (2 - w); });
  check(c);
}

TEST(ReferenceTest, ASinkTakesItsPartOfTheRow) {
  Case c({.q_len = 1, .kv_len = 1, .head_dim = 1, .value_dim = 1});
  Case::at(c.query, 0) = 2;
  Case::at(c.key, 0) = 3;
  Case::at(c.value, 0) = 5;
  c.options.sinks = c.normal({1});
  Case::at(*c.options.sinks, 0) = 6 + std::log(3);  // three times the weight of the key
  c.options.scale = 1;
  c.options.max_scores = c.normal({1, 1, 1});
  c.run_forward(engine());
  EXPECT_NEAR(Case::at(c.saved.out, 0), 5.0 / 4, 1e-14);
  EXPECT_NEAR(Case::at(c.saved.lse, 0), 6 + std::log(4), 1e-14);
  EXPECT_EQ(Case::at(*c.options.max_scores, 0), 6);  // the sink is no score of the row's
}

// Sequences of 2 x 3, 0 x 1 and 2 x 0 behind each other.
void make_jagged(Problem& p) {
  p.batch = 3;
  p.sequences = {{0, 2, 0, 3}, {2, 0, 3, 1}, {2, 2, 4, 0}};
  p.q_len = 2;
  p.kv_len = 3;
}

TEST(ReferenceBackwardTest, JaggedSequences) {
  Case c({.q_heads = 2, .kv_heads = 1, .q_len = 4, .kv_len = 4});
  const auto bias = capture(c.normal({3, 4, 4}));
  c.options.score_mod =
      score_mod([=](auto s, auto b, auto, auto q, auto kv) { return s + bias[b][q][kv]; });
  check(c, make_jagged);
}

TEST(ReferenceTest, JaggedSequencesAreCallsOfTheirOwn) {
  const Case c({.q_len = 4, .kv_len = 4});
  c.run_forward(engine(make_jagged));
  const std::vector<double> jagged(&Case::at(c.saved.out, 0), &Case::at(c.saved.out, 0) + 12);
  const auto part = [](const TensorView& t, int64_t rows) {
    TensorView some = t;
    some.sizes[2] = rows;
    return some;
  };
  engine().forward(part(c.query, 2), part(c.key, 3), part(c.value, 3), part(c.saved.out, 2), {});
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(jagged[static_cast<std::size_t>(i)], Case::at(c.saved.out, i));
  }
  for (std::size_t i = 6; i < 12; ++i) EXPECT_EQ(jagged[i], 0);  // no keys
}

TEST(ReferenceTest, PagesAreKeysInAnotherOrder) {
  Case c({.batch = 2, .kv_len = 4});
  c.run_forward(engine());
  const TensorView out = c.saved.out;
  const std::vector<double> expected(&Case::at(out, 0), &Case::at(out, 0) + out.numel());
  // Pages of two keys: (b, pair) lies in page 3 - 2 b - pair.
  const std::vector<int32_t> table{3, 2, 1, 0};
  const TensorView key = c.normal({4, 1, 2, 2}), value = c.normal({4, 1, 2, 3});
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t d = 0; d < 4; ++d) Case::at(key, (3 - i) * 4 + d) = Case::at(c.key, i * 4 + d);
    for (int64_t d = 0; d < 6; ++d) Case::at(value, (3 - i) * 6 + d) = Case::at(c.value, i * 6 + d);
  }
  c.run_forward(engine([&](Problem& p) {
    p.key = key;
    p.value = value;
    p.page_table = view(table.data(), {2, 2});
    p.page_size = 2;
  }));
  for (int64_t i = 0; i < out.numel(); ++i) {
    EXPECT_EQ(Case::at(out, i), expected[static_cast<std::size_t>(i)]) << i;
  }
}

TEST(ReferenceBackwardTest, LowerPrecisionIsRoundedOnce) {
  const Case c;
  const test::TrainingCall<float> narrow;
  for (const auto& [wide, rounded] :
       {std::pair(c.query, narrow.query), std::pair(c.key, narrow.key),
        std::pair(c.value, narrow.value), std::pair(c.saved.dout, narrow.saved.dout)}) {
    for (int64_t i = 0; i < wide.numel(); ++i) {
      const float x = static_cast<float>(Case::at(wide, i));
      test::TrainingCall<float>::at(rounded, i) = x;
      Case::at(wide, i) = static_cast<double>(x);
    }
  }
  const auto exact = c.run_backward(engine()).all();
  const auto got = narrow.run_backward(engine()).all();
  ASSERT_EQ(got.size(), exact.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<float>(exact[i])) << i;
}

}  // namespace
}  // namespace fovea::attention
