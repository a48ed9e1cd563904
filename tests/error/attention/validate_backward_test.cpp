// SPDX-License-Identifier: Apache-2.0
#include "attention/validate_backward.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>

namespace fovea::attention {
namespace {

/// A valid call: B2, 4 query heads on 2 key heads, 5 queries, 7 keys, head_dim 3, value dim 2. Each test
/// breaks one rule.
class ValidateBackwardTest : public testing::Test {
 protected:
  TensorView tensor(const Dims& sizes) { return view(memory_.data(), sizes); }

  BackwardProblem call(Saved reads = Saved::all) const {
    return validate_backward("flex_attention_backward", query, key, value, saved, gradients,
                             options, reads);
  }
  std::string error() const {
    try {
      call();
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "no error";
  }
  static std::string text(const std::string& tail) { return "[flex_attention_backward] " + tail; }

  void capture_table(TensorView table) {
    const Capture captured = capture(table);
    options.score_mod =
        score_mod([=](auto s, auto, auto h, auto, auto) { return s * to_float(captured[h]); });
  }

  std::vector<float> memory_ = std::vector<float>(1024);
  TensorView query = tensor({2, 4, 5, 3});
  TensorView key = tensor({2, 2, 7, 3});
  TensorView value = tensor({2, 2, 7, 2});
  BackwardInputs saved{tensor({2, 4, 5, 2}), tensor({2, 4, 5}), tensor({2, 4, 5, 2})};
  FlexGradients gradients{tensor({2, 4, 5, 3}), tensor({2, 2, 7, 3}), tensor({2, 2, 7, 2})};
  FlexOptions options;
};

TEST_F(ValidateBackwardTest, AGoodCallIsDescribed) {
  saved.dlse = tensor({2, 4, 5});
  capture_table(tensor({4}));
  gradients.score_captures = {tensor({4})};
  const BackwardProblem b = call();
  EXPECT_EQ(b.forward.group(), 2);
  EXPECT_TRUE(b.forward.lse.has_value());
  EXPECT_EQ(b.dquery.sizes, query.sizes);
  EXPECT_EQ(b.score_captures.size(), 1U);
}

TEST_F(ValidateBackwardTest, NothingNeedsToBeWanted) {
  gradients = {};
  EXPECT_EQ(error(), "no error");
}

TEST_F(ValidateBackwardTest, AKeyOfBatchOneHasAGradientOfBatchOne) {
  key = tensor({1, 2, 7, 3});
  value = tensor({1, 2, 7, 2});
  EXPECT_EQ(error(),
            text("gradient of key must have its tensor's shape: expected [1, 2, 7, 3], got [2, 2, "
                 "7, 3]"));
  gradients.key = tensor({1, 2, 7, 3});
  gradients.value = tensor({1, 2, 7, 2});
  EXPECT_EQ(error(), "no error");
}

TEST_F(ValidateBackwardTest, TheForwardRulesComeFirst) {
  value = tensor({2, 2, 8, 2});
  EXPECT_EQ(error(), text("value length must equal key length: expected 7, got 8"));
}

TEST_F(ValidateBackwardTest, SavedTensors) {
  const BackwardInputs good = saved;
  saved.out = {};
  EXPECT_EQ(error(), text("out must be given: expected a tensor, got none"));
  saved = good;
  saved.lse = {};
  EXPECT_EQ(error(), text("lse must be given: expected a tensor, got none"));
  saved = good;
  saved.lse = tensor({2, 4, 6});
  EXPECT_EQ(error(), text("lse must have the shape (batch, query heads, query length): expected "
                          "[2, 4, 5], got [2, 4, 6]"));
  saved = good;
  saved.dout = {};
  EXPECT_EQ(error(), text("dout must be given: expected a tensor, got none"));
}

TEST_F(ValidateBackwardTest, TheReferenceNeedsNeitherOutNorLse) {
  saved.out = saved.lse = {};
  EXPECT_NO_THROW(call(Saved::gradients));
  saved.dout = {};
  EXPECT_THROW(call(Saved::gradients), InvalidArgument);
}

TEST_F(ValidateBackwardTest, Dout) {
  saved.dout = tensor({2, 4, 5, 3});
  EXPECT_EQ(error(), text("dout must have the shape of out: expected [2, 4, 5, 2], got [2, 4, 5, "
                          "3]"));
  saved.dout = tensor({2, 4, 5, 2});
  saved.dout.dtype = DType::f64;
  EXPECT_EQ(error(), text("dout dtype must equal query dtype: expected f32, got f64"));
  saved.dout = tensor({2, 4, 5, 2});
  saved.dout.data = nullptr;
  EXPECT_EQ(error(), text("dout must have memory: expected a pointer, got null"));
  saved.dout = tensor({2, 4, 5, 2});
  saved.dout.device = {DeviceType::cuda, 0};
  EXPECT_EQ(error(), text("dout must be on the query's device: expected cpu, got cuda"));
}

TEST_F(ValidateBackwardTest, DoutMayBeBroadcast) {
  saved.dout.strides = {0, 0, 0, 0};
  EXPECT_EQ(error(), "no error");
}

TEST_F(ValidateBackwardTest, Dlse) {
  saved.dlse = tensor({2, 4, 4});
  EXPECT_EQ(error(), text("dlse must have the shape of lse: expected [2, 4, 5], got [2, 4, 4]"));
  saved.dlse = tensor({2, 4, 5});
  saved.dlse->dtype = DType::bf16;
  EXPECT_EQ(error(), text("dlse must be f32 or f64: expected f32 or f64, got bf16"));
}

TEST_F(ValidateBackwardTest, Gradients) {
  const FlexGradients good = gradients;
  gradients.query = tensor({2, 4, 5, 4});
  EXPECT_EQ(error(), text("gradient of query must have its tensor's shape: expected [2, 4, 5, 3], "
                          "got [2, 4, 5, 4]"));
  gradients = good;
  gradients.value.dtype = DType::f16;
  EXPECT_EQ(error(),
            text("gradient of value dtype must equal its tensor's dtype: expected f32, got f16"));
  gradients = good;
  gradients.key.data = nullptr;
  EXPECT_EQ(error(), text("gradient of key must have memory: expected a pointer, got null"));
  gradients = good;
  gradients.key.strides[0] = 0;
  EXPECT_EQ(error(), text("gradient of key must not overlap itself: expected strides other than 0, "
                          "got [0, 21, 3, 1]"));
  gradients = good;
  gradients.query.device = {DeviceType::cuda, 0};
  EXPECT_EQ(error(),
            text("gradient of query must be on the query's device: expected cpu, got cuda"));
}

TEST_F(ValidateBackwardTest, MoreGradientsThanCaptures) {
  gradients.weight_captures = {TensorView{}};
  EXPECT_EQ(error(), text("gradients of captures of weight_mod must not be more than those: "
                          "expected at most 0, got 1"));
  capture_table(tensor({4}));
  gradients.weight_captures = {};
  gradients.score_captures = {tensor({4}), tensor({4})};
  EXPECT_EQ(error(), text("gradients of captures of score_mod must not be more than those: "
                          "expected at most 1, got 2"));
}

TEST_F(ValidateBackwardTest, GradientsOfCaptures) {
  capture_table(tensor({4}));
  gradients.score_captures = {tensor({5})};
  EXPECT_EQ(error(), text("gradient of capture t0 of score_mod must have its tensor's shape: "
                          "expected [4], got [5]"));
  gradients.score_captures = {tensor({4})};
  gradients.score_captures[0].dtype = DType::bf16;
  EXPECT_EQ(error(), text("gradient of capture t0 of score_mod must be f32 or f64: expected f32 or "
                          "f64, got bf16"));
  gradients.score_captures[0] = tensor({4});
  gradients.score_captures[0].strides[0] = 0;
  EXPECT_EQ(error(), text("gradient of capture t0 of score_mod must not overlap itself: expected "
                          "strides other than 0, got [0]"));
  gradients.score_captures[0] = {};  // not wanted
  EXPECT_EQ(error(), "no error");
}

TEST_F(ValidateBackwardTest, IntegersHaveNoGradient) {
  const std::vector<int32_t> integers(4);
  capture_table(view(integers.data(), {4}));
  gradients.score_captures = {tensor({4})};
  EXPECT_EQ(error(), text("capture t0 of score_mod must be floating-point to have a gradient: "
                          "expected f64, f32, bf16 or f16, got i32"));
}

TEST_F(ValidateBackwardTest, SinksWithoutSinks) {
  gradients.sinks = tensor({4});
  EXPECT_EQ(error(), text("gradient of sinks needs sinks: expected options.sinks, got none"));
}

TEST_F(ValidateBackwardTest, PagesHaveNoGradient) {
  const std::vector<int32_t> table(4);
  options.page_table = view(table.data(), {2, 2});
  EXPECT_EQ(error(), text("page_table must not be given: pages have no gradient: expected key and "
                          "value without pages, got a page table"));
}

}  // namespace
}  // namespace fovea::attention
