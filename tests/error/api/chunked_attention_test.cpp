// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

namespace fovea {
namespace {

struct Call {
  std::vector<float> data = std::vector<float>(2 * 4 * 6 * 8);
  TensorView tensor = view(data.data(), {2, 4, 6, 8});
  ChunkedOptions options = {};

  TensorView of(DType dtype, const Dims& sizes) {
    TensorView result = view(data.data(), sizes);
    result.dtype = dtype;
    return result;
  }
  std::string run() {
    try {
      chunked_attention(tensor, tensor, tensor, tensor, options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::string with_bias(const TensorView& bias) {
    options.bias = bias;
    return run();
  }
  std::string with_mask(const TensorView& mask) {
    options.mask = mask;
    return run();
  }
};

TEST(ChunkedAttentionError, Chunks) {
  Call call;
  call.options.query_chunk = 0;
  EXPECT_EQ(call.run(),
            "[chunked_attention] query_chunk must be positive: expected at least 1, got 0");
  call.options.query_chunk = 1;
  call.options.key_chunk = -5;
  EXPECT_EQ(call.run(),
            "[chunked_attention] key_chunk must be positive: expected at least 1, got -5");
}

TEST(ChunkedAttentionError, TensorsAsForFlexAttentionInBothLayouts) {
  for (const Layout layout : {Layout::bhne, Layout::bnhe}) {
    Call call;
    call.options.layout = layout;
    call.tensor = view(call.data.data(), {2, 4, 6});
    EXPECT_EQ(call.run(),
              "[chunked_attention] query must have 4 dimensions (batch, heads, length, head_dim): "
              "expected 4, got 3");
  }
  Call call;
  call.options.scale = 1 / 0.0;
  EXPECT_EQ(call.run(),
            "[chunked_attention] scale must be finite: expected a finite number, got inf");
}

TEST(ChunkedAttentionError, Bias) {
  EXPECT_EQ(Call().with_bias(Call().of(DType::i32, {2, 4, 6, 6})),
            "[chunked_attention] bias must be floating-point: expected f64, f32, bf16 or f16, "
            "got i32");
  EXPECT_EQ(Call().with_bias(Call().of(DType::f32, {6, 6})),
            "[chunked_attention] bias must have 4 dimensions (batch, heads, query length, key "
            "length): expected 4, got 2");
  EXPECT_EQ(
      Call().with_bias(Call().of(DType::f32, {3, 4, 6, 6})),
      "[chunked_attention] bias batch must be 1 or that of the scores: expected 1 or 2, got 3");
  EXPECT_EQ(
      Call().with_bias(Call().of(DType::f32, {2, 2, 6, 6})),
      "[chunked_attention] bias heads must be 1 or that of the scores: expected 1 or 4, got 2");
  EXPECT_EQ(
      Call().with_bias(Call().of(DType::f32, {2, 4, 5, 6})),
      "[chunked_attention] bias query length must be 1 or that of the scores: expected 1 or 6, "
      "got 5");
  EXPECT_EQ(Call().with_bias(Call().of(DType::f32, {2, 4, 6, 0})),
            "[chunked_attention] bias key length must be 1 or that of the scores: expected 1 or 6, "
            "got 0");
  Call call;
  TensorView bias = call.of(DType::f32, {2, 4, 6, 6});
  bias.data = nullptr;
  EXPECT_EQ(call.with_bias(bias),
            "[chunked_attention] bias must have memory: expected a pointer, got null");
  bias = call.of(DType::f32, {2, 4, 6, 6});
  bias.device = {DeviceType::cuda, 0};
  EXPECT_EQ(call.with_bias(bias),
            "[chunked_attention] bias must be on the query's device: expected cpu, got cuda");
}

TEST(ChunkedAttentionError, Mask) {
  EXPECT_EQ(Call().with_mask(Call().of(DType::u8, {2, 4, 6, 6})),
            "[chunked_attention] mask must be bool: expected bool, got u8");
  EXPECT_EQ(Call().with_mask(Call().of(DType::boolean, {4, 6, 6})),
            "[chunked_attention] mask must have 4 dimensions (batch, heads, query length, key "
            "length): expected 4, got 3");
  EXPECT_EQ(
      Call().with_mask(Call().of(DType::boolean, {3, 6})),
      "[chunked_attention] mask batch must be 1 or that of the scores: expected 1 or 2, got 3");
  EXPECT_EQ(Call().with_mask(Call().of(DType::boolean, {2, 5})),
            "[chunked_attention] mask key length must be 1 or that of the scores: expected 1 or 6, "
            "got 5");
}

TEST(ChunkedAttentionError, Dropout) {
  const int64_t number = 3;
  Call call;
  call.options.dropout = 0.5;
  EXPECT_EQ(call.run(),
            "[chunked_attention] dropout must have a seed: expected an i64 tensor of one element, "
            "got none");
  call.options.seed = view(&number, {1});
  EXPECT_EQ(
      call.run(),
      "[chunked_attention] dropout must have an offset: expected an i64 tensor of one element, "
      "got none");
  call.options.offset = view(&number, {1});
  call.options.dropout = 1.5;
  EXPECT_EQ(call.run().find("[dropout] p "), 0U) << call.run();
}

TEST(ChunkedAttentionError, AMaskOnAnotherDevice) {
  Call call;
  call.tensor.device = {DeviceType::cuda, 0};
  TensorView mask = call.of(DType::boolean, {2, 4, 6, 6});
  mask.device = call.tensor.device;
  EXPECT_EQ(call.with_mask(mask),
            "[chunked_attention] mask must be on the CPU: expected cpu, got cuda");
}

TEST(ChunkedAttentionError, Backward) {
  Call call;
  ChunkedGradients gradients;
  BackwardInputs saved{call.tensor, call.of(DType::f32, {2, 4, 6}), call.tensor, {}};
  const auto run = [&](bool for_memory) -> std::string {
    try {
      const TensorView& t = call.tensor;
      if (for_memory) {
        chunked_backward_workspace_bytes(t, t, t, saved, gradients, call.options);
      } else {
        chunked_attention_backward(t, t, t, saved, gradients, call.options);
      }
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  gradients.bias = call.of(DType::f32, {1, 1, 6, 6});
  for (const bool for_memory : {false, true}) {
    const std::string where =
        for_memory ? "[chunked_backward_workspace_bytes]" : "[chunked_attention_backward]";
    EXPECT_EQ(
        run(for_memory),
        where +
            " a gradient of the bias must have a bias: expected the bias of the call, got none");
  }
  call.options.bias = call.of(DType::f32, {1, 4, 6, 6});
  EXPECT_EQ(run(false).find("[chunked_attention_backward] gradient of capture t0 of score_mod "),
            0U)
      << run(false);
  gradients.bias = {};
  saved.dout = {};
  EXPECT_EQ(run(false),
            "[chunked_attention_backward] dout must be given: expected a tensor, got none");
}

TEST(ChunkedAttentionError, TheWorkspaceFunctionNamesItself) {
  Call call;
  call.options.key_chunk = 0;
  try {
    chunked_workspace_bytes(call.tensor, call.tensor, call.tensor, call.tensor, call.options);
    FAIL() << "no error";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(
        error.what(),
        "[chunked_workspace_bytes] key_chunk must be positive: expected at least 1, got 0");
  }
}

}  // namespace
}  // namespace fovea
