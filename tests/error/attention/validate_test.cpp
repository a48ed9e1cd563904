// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "attention/problem.h"

namespace fovea::attention {
namespace {

/// A valid call: B2, 4 query heads on 2 key heads, 5 queries, 7 keys, head_dim 3, value dim 2. Each test
/// breaks one rule.
class ValidateTest : public testing::Test {
 protected:
  std::vector<float> memory_ = std::vector<float>(1024);
  TensorView query = view(memory_.data(), {2, 4, 5, 3});
  TensorView key = view(memory_.data(), {2, 2, 7, 3});
  TensorView value = view(memory_.data(), {2, 2, 7, 2});
  TensorView out = view(memory_.data(), {2, 4, 5, 2});
  FlexOptions options;

  Problem call() const { return validate("flex_attention", query, key, value, out, options); }

  std::string error() const {
    try {
      call();
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "no error";
  }
  static std::string text(const std::string& tail) { return "[flex_attention] " + tail; }
};

TEST_F(ValidateTest, AGoodCallIsDescribed) {
  std::vector<float> lse(40);
  options.lse = view(lse.data(), {2, 4, 5});
  const Problem p = call();
  EXPECT_EQ(p.batch, 2);
  EXPECT_EQ(p.q_heads, 4);
  EXPECT_EQ(p.kv_heads, 2);
  EXPECT_EQ(p.group(), 2);
  EXPECT_EQ(p.q_len, 5);
  EXPECT_EQ(p.kv_len, 7);
  EXPECT_EQ(p.head_dim, 3);
  EXPECT_EQ(p.value_dim, 2);
  EXPECT_DOUBLE_EQ(p.scale, 1 / std::sqrt(3.0));
  EXPECT_FALSE(p.needs_64_bits);
}

TEST_F(ValidateTest, Rank) {
  key = view(memory_.data(), {2, 7, 3});
  EXPECT_EQ(error(),
            text("key must have 4 dimensions (batch, heads, length, head_dim): expected 4, got 3"));
}

TEST_F(ValidateTest, FloatingPoint) {
  query.dtype = DType::i32;
  EXPECT_EQ(error(), text("query must be floating-point: expected f64, f32, bf16 or f16, got i32"));
}

TEST_F(ValidateTest, NegativeSize) {
  value.sizes[2] = -1;
  EXPECT_EQ(error(), text("value sizes must not be negative: expected at least 0, got -1"));
}

TEST_F(ValidateTest, NullMemory) {
  key.data = nullptr;
  EXPECT_EQ(error(), text("key must have memory: expected a pointer, got null"));
}

TEST_F(ValidateTest, Device) {
  value.device = {DeviceType::cuda, 0};
  EXPECT_EQ(error(), text("value must be on the query's device: expected cpu, got cuda"));
}

TEST_F(ValidateTest, DTypes) {
  key.dtype = DType::f64;
  EXPECT_EQ(error(), text("key must be f64 if the query is, and only then: "
                          "expected f32, bf16 or f16, got f64"));
  query.dtype = DType::f64;
  EXPECT_EQ(error(), text("value must be f64 if the query is, and only then: "
                          "expected f64, got f32"));
}

TEST_F(ValidateTest, NarrowDTypesMix) {
  for (const DType q : {DType::f32, DType::bf16, DType::f16}) {
    for (const DType k : {DType::f32, DType::bf16, DType::f16}) {
      for (const DType v : {DType::f32, DType::bf16, DType::f16}) {
        query.dtype = q;
        key.dtype = k;
        value.dtype = v;
        EXPECT_EQ(error(), "no error");
      }
    }
  }
}

TEST_F(ValidateTest, HeadDim) {
  key = view(memory_.data(), {2, 2, 7, 8});
  EXPECT_EQ(error(), text("key head_dim must equal query head_dim: expected 3, got 8"));
}

TEST_F(ValidateTest, HeadDimZero) {
  query = view(memory_.data(), {2, 4, 5, 0});
  EXPECT_EQ(error(), text("query head_dim must be positive: expected at least 1, got 0"));
  query = view(memory_.data(), {2, 4, 5, 3});
  value = view(memory_.data(), {2, 2, 7, 0});
  EXPECT_EQ(error(), text("value head_dim must be positive: expected at least 1, got 0"));
}

TEST_F(ValidateTest, Batch) {
  key = view(memory_.data(), {3, 2, 7, 3});
  EXPECT_EQ(error(), text("key batch must be 1 or the query's: expected 1 or 2, got 3"));
  key = view(memory_.data(), {2, 2, 7, 3});
  value = view(memory_.data(), {1, 2, 7, 2});
  EXPECT_EQ(error(), text("value batch must equal key batch: expected 2, got 1"));
}

TEST_F(ValidateTest, OneKeyBatchServesAll) {
  key = view(memory_.data(), {1, 2, 7, 3});
  value = view(memory_.data(), {1, 2, 7, 2});
  const Problem p = call();
  EXPECT_EQ(p.key.sizes, (Dims{2, 2, 7, 3}));
  EXPECT_EQ(p.key.stride(0), 0);
  EXPECT_EQ(p.value.stride(0), 0);
}

TEST_F(ValidateTest, OutputsThatOverlap) {
  out.strides[1] = 0;
  EXPECT_EQ(error(), text("out must not overlap itself: expected strides other than 0, got "
                          "[40, 0, 2, 1]"));
  out = view(memory_.data(), {2, 4, 5, 2});
  options.lse = view(memory_.data(), {2, 4, 5}, {20, 5, 0});
  EXPECT_EQ(error(), text("lse must not overlap itself: expected strides other than 0, got "
                          "[20, 5, 0]"));
}

TEST_F(ValidateTest, MaxScores) {
  options.max_scores = view(memory_.data(), {2, 4, 6});
  EXPECT_EQ(error(), text("max_scores must have the shape (batch, query heads, query length): "
                          "expected [2, 4, 5], got [2, 4, 6]"));
  options.max_scores = view(memory_.data(), {2, 4, 5});
  options.max_scores->dtype = DType::bf16;
  EXPECT_EQ(error(), text("max_scores must be f32 or f64: expected f32 or f64, got bf16"));
  options.max_scores = view(static_cast<float*>(nullptr), {2, 4, 5});
  EXPECT_EQ(error(), text("max_scores must have memory: expected a pointer, got null"));
  options.max_scores = view(memory_.data(), {2, 4, 5}, {20, 5, 0});
  EXPECT_EQ(error(), text("max_scores must not overlap itself: expected strides other than 0, got "
                          "[20, 5, 0]"));
}

TEST_F(ValidateTest, Sinks) {
  options.sinks = view(memory_.data(), {2});
  EXPECT_EQ(error(), text("sinks must have the shape (query heads): expected [4], got [2]"));
  options.sinks = view(memory_.data(), {4});
  options.sinks->dtype = DType::i32;
  EXPECT_EQ(error(), text("sinks must be floating-point: expected f64, f32, bf16 or f16, got i32"));
  options.sinks = view(static_cast<float*>(nullptr), {4});
  EXPECT_EQ(error(), text("sinks must have memory: expected a pointer, got null"));
  options.sinks = view(memory_.data(), {4}, {0});
  EXPECT_EQ(error(), "no error");
  options.sinks->device = {DeviceType::cuda, 0};
  EXPECT_EQ(error(), text("sinks must be on the query's device: expected cpu, got cuda"));
}

TEST_F(ValidateTest, WeightModsThatNeedNormalizedWeights) {
  EXPECT_FALSE(call().needs_normalized_weights);
  options.weight_mod = weight_mod([](auto w, auto, auto h, auto, auto) { return w * 0.5f * h; });
  EXPECT_FALSE(call().needs_normalized_weights);
  options.weight_mod = weight_mod([](auto w, auto, auto, auto, auto) { return w * w; });
  EXPECT_TRUE(call().needs_normalized_weights);
}

TEST_F(ValidateTest, TooManyElements) {
  query.sizes = {int64_t{1} << 31, int64_t{1} << 31, 5, 3};
  EXPECT_EQ(error(), text("query must not have too many elements: expected at most 2^62, got "
                          "[2147483648, 2147483648, 5, 3]"));
}

TEST_F(ValidateTest, KeyValueLengths) {
  value = view(memory_.data(), {2, 2, 6, 2});
  EXPECT_EQ(error(), text("value length must equal key length: expected 7, got 6"));
}

TEST_F(ValidateTest, KeyValueHeads) {
  value = view(memory_.data(), {2, 4, 7, 2});
  EXPECT_EQ(error(), text("value heads must equal key heads: expected 2, got 4"));
}

TEST_F(ValidateTest, HeadGroups) {
  key = view(memory_.data(), {2, 3, 7, 3});
  value = view(memory_.data(), {2, 3, 7, 2});
  EXPECT_EQ(error(),
            text("query heads must be a multiple of key heads: expected a multiple of 3, got 4"));
  key = view(memory_.data(), {2, 0, 7, 3});
  value = view(memory_.data(), {2, 0, 7, 2});
  EXPECT_EQ(error(),
            text("query heads must be a multiple of key heads: expected a multiple of 0, got 4"));
}

TEST_F(ValidateTest, OutShape) {
  out = view(memory_.data(), {2, 4, 5, 3});
  EXPECT_EQ(error(),
            text("out must have the shape of the result: expected [2, 4, 5, 2], got [2, 4, 5, 3]"));
}

TEST_F(ValidateTest, Lse) {
  options.lse = view(memory_.data(), {2, 4, 6});
  EXPECT_EQ(error(), text("lse must have the shape (batch, query heads, query length): "
                          "expected [2, 4, 5], got [2, 4, 6]"));
  options.lse = view(memory_.data(), {2, 4, 5});
  options.lse->dtype = DType::bf16;
  EXPECT_EQ(error(), text("lse must be f32 or f64: expected f32 or f64, got bf16"));
  options.lse->dtype = DType::f32;
  options.lse->data = nullptr;
  EXPECT_EQ(error(), text("lse must have memory: expected a pointer, got null"));
  options.lse = view(memory_.data(), {2, 4, 5});
  options.lse->device = {DeviceType::cuda, 0};
  EXPECT_EQ(error(), text("lse must be on the query's device: expected cpu, got cuda"));
}

TEST_F(ValidateTest, Scale) {
  options.scale = std::numeric_limits<double>::infinity();
  EXPECT_EQ(error(), text("scale must be finite: expected a finite number, got inf"));
}

TEST_F(ValidateTest, ScoreModKind) {
  options.score_mod = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  EXPECT_EQ(error(),
            text("score_mod must be a score program: expected (score, b, h, q, kv) -> score, "
                 "got a mask_mod"));
}

TEST_F(ValidateTest, WeightModKind) {
  options.weight_mod = score_mod([](auto s, auto, auto, auto, auto) { return s * 2; });
  EXPECT_EQ(error(),
            text("weight_mod must be a weight program: expected (w, b, h, q, kv) -> weight, "
                 "got a score_mod"));
}

TEST_F(ValidateTest, BlockMaskLengths) {
  const auto causal = [](auto, auto, auto q, auto kv) { return q >= kv; };
  options.block_mask = create_block_mask(causal, {.q_len = 5, .kv_len = 8});
  EXPECT_EQ(error(),
            text("block_mask must be made for these lengths (create_block_mask with q_len, "
                 "kv_len): expected 5 x 7, got 5 x 8"));
}

TEST_F(ValidateTest, BlockMaskBatchAndHeads) {
  const auto by_batch = [](auto b, auto, auto q, auto kv) { return q + b >= kv; };
  options.block_mask = create_block_mask(by_batch, {.q_len = 5, .kv_len = 7, .batch = 3});
  EXPECT_EQ(error(), text("block_mask batch must be 1 or the query's: expected 1 or 2, got 3"));
  const auto by_head = [](auto, auto h, auto q, auto kv) { return q + h >= kv; };
  options.block_mask = create_block_mask(by_head, {.q_len = 5, .kv_len = 7, .heads = 2});
  EXPECT_EQ(error(), text("block_mask heads must be 1 or the query's: expected 1 or 4, got 2"));
}

TEST_F(ValidateTest, UnboundCapture) {
  options.score_mod =
      parse_program("score_mod(score, b, h, q, kv; t0: f32[1]) {\n  return score + t0[h]\n}\n");
  EXPECT_NE(error(), "no error");
  float x = 0;
  TensorView unbound = view(&x, {4});
  unbound.data = nullptr;
  const TensorView captures[] = {unbound};
  options.score_mod = parse_program("score + t0[h]", captures);
  EXPECT_EQ(error(),
            text("capture t0 of score_mod must have memory: expected a pointer, got null"));
}

TEST_F(ValidateTest, AnIndexThatIsOutsideForEveryElementIsAnError) {
  float table[4] = {};
  const Capture slopes = capture(view(table, {4}));
  options.score_mod =
      score_mod([=](auto s, auto, auto h, auto, auto) { return s + slopes[h + 4]; });
  const std::string got = error();
  EXPECT_NE(got.find("[flex_attention]"), std::string::npos) << got;
  EXPECT_NE(got.find("t0"), std::string::npos) << got;
  EXPECT_NE(got.find("4"), std::string::npos) << got;
}

TEST_F(ValidateTest, AnIndexThatIsSometimesOutsideIsNot) {
  float table[4] = {};
  const Capture slopes = capture(view(table, {4}));
  options.score_mod =
      score_mod([=](auto s, auto, auto h, auto, auto) { return s + slopes[h + 2]; });
  EXPECT_EQ(error(), "no error");
}

TEST_F(ValidateTest, LargeIntegersAskFor64Bits) {
  options.score_mod = score_mod([](auto s, auto, auto, auto q, auto kv) {
    return s + to_float((q + 1) * 1000000 * (kv + 1) * 1000000 > 5);
  });
  EXPECT_TRUE(call().needs_64_bits);
}

TEST_F(ValidateTest, EmptyTensorsAreFine) {
  query = view(memory_.data(), {2, 4, 0, 3});
  out = view(memory_.data(), {2, 4, 0, 2});
  EXPECT_EQ(error(), "no error");
  query = view(memory_.data(), {2, 4, 5, 3});
  out = view(memory_.data(), {2, 4, 5, 2});
  key = view(static_cast<float*>(nullptr), {2, 2, 0, 3});
  value = view(static_cast<float*>(nullptr), {2, 2, 0, 2});
  EXPECT_EQ(error(), "no error");
}

}  // namespace
}  // namespace fovea::attention
