// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

namespace fovea {
namespace {

/// A valid call with two parts. Each test breaks one rule.
class MergeError : public testing::Test {
 protected:
  std::vector<float> memory_ = std::vector<float>(64);
  TensorView out = view(memory_.data(), {1, 2, 3, 4});
  TensorView lse = view(memory_.data(), {1, 2, 3});
  std::vector<PartialAttention> parts{{out, lse}, {out, lse}};
  MergeOptions options;

  std::string error() const {
    try {
      merge_attention(parts, out, options);
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "no error";
  }
  static std::string text(const std::string& tail) { return "[merge_attention] " + tail; }
};

TEST_F(MergeError, AGoodCallHasNone) {
  options.lse = lse;
  EXPECT_EQ(error(), "no error");
}

TEST_F(MergeError, NoParts) {
  parts.clear();
  EXPECT_EQ(error(), text("parts must not be empty: expected at least 1, got 0"));
}

TEST_F(MergeError, Shapes) {
  parts[1].out = view(memory_.data(), {1, 2, 3, 5});
  EXPECT_EQ(error(), text("out of part 1 must have the shape of out: "
                          "expected [1, 2, 3, 4], got [1, 2, 3, 5]"));
  parts[1].out = out;
  parts[0].lse = view(memory_.data(), {1, 2, 4});
  EXPECT_EQ(error(), text("lse of part 0 must have the shape (batch, query heads, query length): "
                          "expected [1, 2, 3], got [1, 2, 4]"));
  parts[0].lse = lse;
  options.lse = view(memory_.data(), {1, 2});
  EXPECT_EQ(error(), text("lse must have the shape (batch, query heads, query length): "
                          "expected [1, 2, 3], got [1, 2]"));
  out = lse;
  EXPECT_EQ(error(),
            text("out must have 4 dimensions (batch, heads, length, head_dim): expected 4, got 3"));
}

TEST_F(MergeError, DTypes) {
  parts[1].out.dtype = DType::i32;
  EXPECT_EQ(error(), text("out of part 1 must be floating-point: "
                          "expected f64, f32, bf16 or f16, got i32"));
  parts[1].out = out;
  parts[1].lse.dtype = DType::bf16;
  EXPECT_EQ(error(), text("lse of part 1 must be f32 or f64: expected f32 or f64, got bf16"));
  parts[1].lse = lse;
  options.lse = lse;
  options.lse->dtype = DType::f16;
  EXPECT_EQ(error(), text("lse must be f32 or f64: expected f32 or f64, got f16"));
}

TEST_F(MergeError, Memory) {
  parts[0].out.data = nullptr;
  EXPECT_EQ(error(), text("out of part 0 must have memory: expected a pointer, got null"));
  parts[0].out = out;
  out.data = nullptr;
  EXPECT_EQ(error(), text("out must have memory: expected a pointer, got null"));
}

TEST_F(MergeError, OutputsThatOverlap) {
  out.strides[1] = 0;
  EXPECT_EQ(error(), text("out must not overlap itself: expected strides other than 0, got "
                          "[24, 0, 4, 1]"));
  out.strides[1] = 12;
  options.lse = lse;
  options.lse->strides[2] = 0;
  EXPECT_EQ(error(),
            text("lse must not overlap itself: expected strides other than 0, got [6, 3, 0]"));
}

TEST_F(MergeError, OtherDevices) {
  parts[1].lse.device.type = DeviceType::cuda;
  EXPECT_EQ(error(), text("lse of part 1 must be on the CPU: expected cpu, got cuda"));
  parts[1].lse = lse;
  out.device.type = DeviceType::cuda;
  EXPECT_EQ(error(), text("out must be on the CPU: expected cpu, got cuda"));
}

}  // namespace
}  // namespace fovea
