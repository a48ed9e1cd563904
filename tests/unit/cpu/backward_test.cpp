// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "unit/cpu/backward_harness.h"

/// Gradients without mods: shapes, heads, strides, threads.
namespace fovea::cpu::testing {
namespace {

TEST(Backward, RaggedLengths) {
  for (const int64_t q_len : {0, 1, 7, 127, 129}) {
    for (const int64_t kv_len : {0, 1, 7, 127, 129, 300}) {
      EXPECT_TRUE(BackwardCase({.q_len = q_len, .kv_len = kv_len, .head_dim = 16}).is_right());
    }
  }
  EXPECT_TRUE(BackwardCase({.q_len = 5, .kv_len = 1023, .head_dim = 16}).is_right());
  EXPECT_TRUE(BackwardCase({.q_len = 1023, .kv_len = 5, .head_dim = 16}).is_right());
}

TEST(Backward, HeadDims) {
  for (const int64_t dim : {1, 3, 17, 64, 80, 128, 256, 511}) {
    EXPECT_TRUE(BackwardCase({.q_len = 13, .kv_len = 40, .head_dim = dim}).is_right());
    EXPECT_TRUE(
        BackwardCase({.q_len = 9, .kv_len = 20, .head_dim = 24, .value_dim = dim}).is_right());
    EXPECT_TRUE(
        BackwardCase({.q_len = 9, .kv_len = 20, .head_dim = dim, .value_dim = 24}).is_right());
  }
}

TEST(Backward, HeadsShareKeys) {
  for (const int64_t group : {1, 2, 3}) {
    for (const int threads : {1, 2}) {
      BackwardCase c({.q_len = 50,
                      .kv_len = 90,
                      .head_dim = 32,
                      .batch = 2,
                      .q_heads = 2 * group,
                      .kv_heads = 2});
      EXPECT_TRUE(c.is_right(threads));
    }
  }
}

TEST(Backward, BatchesShareKeys) {
  for (const bool dkey : {false, true}) {
    for (const bool dvalue : {false, true}) {
      BackwardCase c({.q_len = 40, .kv_len = 600, .head_dim = 16, .batch = 3, .q_heads = 2});
      c.shared_keys = true;
      c.wanted.key = dkey;
      c.wanted.value = dvalue;
      EXPECT_TRUE(c.is_right(2)) << dkey << dvalue;
    }
  }
}

TEST(Backward, NoHeadsAndNoBatch) {
  EXPECT_TRUE(BackwardCase({.q_len = 3, .kv_len = 3, .head_dim = 8, .batch = 0}).is_right());
}

TEST(Backward, ScaleIsApplied) {
  for (const double scale : {0.0, 0.03, -1.0, 3.0}) {
    BackwardCase c({.q_len = 20, .kv_len = 40, .head_dim = 16});
    c.inputs.options.scale = scale;
    EXPECT_TRUE(c.is_right(1, 4e-5)) << scale;
  }
}

TEST(Backward, WithoutGradientOfLse) {
  BackwardCase c({.q_len = 20, .kv_len = 40, .head_dim = 16});
  c.with_dlse = false;
  EXPECT_TRUE(c.is_right());
}

// Each gradient comes out the same, whichever others are wanted.
TEST(Backward, OnlyWhatIsWanted) {
  BackwardCase c({.q_len = 150, .kv_len = 300, .head_dim = 32, .value_dim = 24});
  c.prepare();
  for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
    c.wanted = {};
    const Gradients all = c.run(kernels);
    for (int mask = 0; mask < 8; ++mask) {
      c.wanted = {.query = (mask & 1) != 0, .key = (mask & 2) != 0, .value = (mask & 4) != 0};
      Gradients some = c.run(kernels);
      EXPECT_EQ(some.query.empty(), !c.wanted.query);
      if (!c.wanted.query) some.query = all.query;
      if (!c.wanted.key) some.key = all.key;
      if (!c.wanted.value) some.value = all.value;
      EXPECT_TRUE(some == all) << kernels.name << ", " << mask;
    }
  }
}

TEST(Backward, SameBitsForAnyNumberOfThreads) {
  for (const Shape& shape :
       {Shape{.q_len = 64, .kv_len = 64, .head_dim = 24},
        Shape{.q_len = 150, .kv_len = 2600, .head_dim = 16, .q_heads = 6, .kv_heads = 2},
        Shape{.q_len = 21, .kv_len = 100, .head_dim = 17, .batch = 20}}) {
    BackwardCase c(shape);
    c.prepare();
    for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
      const Gradients expected = c.run(kernels, 1);
      for (const int threads : {2, 3, 7}) {
        EXPECT_TRUE(c.run(kernels, threads) == expected)
            << kernels.name << ", " << threads << " threads, " << to_string(shape);
      }
    }
  }
}

// Beyond the range of the quick exponential, and close to overflow.
TEST(Backward, LargeScores) {
  for (const double scale : {1e4, 1e7, 1e30}) {
    BackwardCase c({.q_len = 30, .kv_len = 70, .head_dim = 16});
    c.inputs.options.scale = scale;
    c.prepare();
    for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
      // A softmax this sharp picks one key, whose value gets dout; and with rounded scores anything
      // between 0 and infinity.
      for (const float x : c.run(kernels).value) EXPECT_FALSE(std::isnan(x)) << scale;
    }
  }
}

TEST(Backward, ScoresFarApartUnderflowQuietly) {
  BackwardCase c({.q_len = 8, .kv_len = 600, .head_dim = 4});
  c.inputs.options.score_mod =
      score_mod([](auto s, auto, auto, auto, auto kv) { return s + 0.7f * to_float(kv - 599); });
  EXPECT_TRUE(c.is_right(1, 1e-4));  // scores reach -420
}

struct Layout {
  const char* name;
  int order[4];
  int64_t step;
};

// The elements of a contiguous (B, H, L, E) tensor, laid out in another order of dimensions.
TensorView permuted(const TensorView& tensor, const Layout& layout, std::vector<float>& data) {
  int64_t strides[4];
  int64_t stride = layout.step;
  for (int i = 3; i >= 0; --i) {
    strides[layout.order[i]] = stride;
    stride *= tensor.size(layout.order[i]);
  }
  data.assign(static_cast<std::size_t>(stride), -99.0f);
  const TensorView result = view(data.data(), tensor.sizes, Dims(strides));
  const auto* from = static_cast<const float*>(tensor.data);
  for (int64_t b = 0; b < tensor.size(0); ++b) {
    for (int64_t h = 0; h < tensor.size(1); ++h) {
      for (int64_t l = 0; l < tensor.size(2); ++l) {
        for (int64_t e = 0; e < tensor.size(3); ++e) {
          data[static_cast<std::size_t>(b * strides[0] + h * strides[1] + l * strides[2] +
                                        e * strides[3])] = *from++;
        }
      }
    }
  }
  return result;
}

const Layout kLayouts[] = {{"B L H E", {0, 2, 1, 3}, 1},
                           {"L B H E, every second", {2, 0, 1, 3}, 2},
                           {"B H E L", {0, 1, 3, 2}, 1},
                           {"E L H B", {3, 2, 1, 0}, 1}};

TEST(Backward, InputsOfAnyStrides) {
  const Shape shape{
      .q_len = 45, .kv_len = 83, .head_dim = 32, .value_dim = 48, .batch = 2, .q_heads = 4};
  BackwardCase plain(shape), c(shape);
  plain.prepare();
  c.prepare();
  for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
    const Gradients expected = plain.run(kernels);
    for (const Layout& layout : kLayouts) {
      std::vector<float> query, key, value, dout;
      c.inputs.query = permuted(plain.inputs.query, layout, query);
      c.inputs.key = permuted(plain.inputs.key, layout, key);
      c.inputs.value = permuted(plain.inputs.value, layout, value);
      c.dout = permuted(plain.dout, layout, dout);
      EXPECT_TRUE(c.run(kernels) == expected) << kernels.name << ", " << layout.name;
    }
  }
}

TEST(Backward, InputsWithStridesOfZero) {
  BackwardCase c({.q_len = 45, .kv_len = 83, .head_dim = 32, .batch = 2, .q_heads = 4});
  c.dout.strides = {0, 0, 0, 0};  // the gradient of a sum
  EXPECT_TRUE(c.is_right());
  c.inputs.query.strides[2] = 0;
  c.inputs.value.strides[1] = 0;
  c.inputs.key.strides[3] = 0;
  EXPECT_TRUE(c.is_right());
}

}  // namespace
}  // namespace fovea::cpu::testing
