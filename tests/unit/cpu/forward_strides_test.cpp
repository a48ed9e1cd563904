// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include <gtest/gtest.h>

#include "attention/reference.h"
#include "cpu/attention/forward.h"
#include "unit/cpu/attention_harness.h"

/// Inputs and outputs of any strides.
namespace fovea::cpu::testing {
namespace {

class ForwardStrides : public ::testing::TestWithParam<NamedKernels> {};
INSTANTIATE_TEST_SUITE_P(Isa, ForwardStrides, ::testing::ValuesIn(all_kernels()), name_of_kernels);

const Shape kShape{.q_len = 45,
                   .kv_len = 83,
                   .head_dim = 24,
                   .value_dim = 40,
                   .batch = 2,
                   .q_heads = 4,
                   .kv_heads = 2};

// The elements of a contiguous (B, H, L, E) tensor, laid out in another order of dimensions.
struct Permuted {
  Permuted(const TensorView& tensor, const int (&order)[4], int64_t step = 1) {
    int64_t strides[4];
    int64_t stride = step;
    for (int i = 3; i >= 0; --i) {
      strides[order[i]] = stride;
      stride *= tensor.size(order[i]);
    }
    data.assign(static_cast<std::size_t>(stride), -99.0f);
    view = fovea::view(data.data(), tensor.sizes, Dims(strides));
    for (int64_t b = 0; b < tensor.size(0); ++b) {
      for (int64_t h = 0; h < tensor.size(1); ++h) {
        for (int64_t l = 0; l < tensor.size(2); ++l) {
          for (int64_t e = 0; e < tensor.size(3); ++e)
            at(view, b, h, l, e) = at(tensor, b, h, l, e);
        }
      }
    }
  }
  static float& at(const TensorView& t, int64_t b, int64_t h, int64_t l, int64_t e) {
    return static_cast<float*>(
        t.data)[b * t.stride(0) + h * t.stride(1) + l * t.stride(2) + e * t.stride(3)];
  }
  std::vector<float> data;
  TensorView view;
};

TEST_P(ForwardStrides, AnyOrderOfDimensions) {
  const Inputs plain(kShape);
  const Result expected = run_kernels(GetParam(), plain);
  const int orders[][4] = {{0, 2, 1, 3}, {2, 0, 1, 3}, {0, 1, 3, 2}, {3, 2, 1, 0}};
  for (const auto& order : orders) {
    for (const int64_t step : {1, 2}) {
      const Permuted query(plain.query, order, step), key(plain.key, order, step);
      const Permuted value(plain.value, order, step);
      Inputs inputs = plain;
      inputs.query = query.view;
      inputs.key = key.view;
      inputs.value = value.view;
      EXPECT_TRUE(run_kernels(GetParam(), inputs) == expected)
          << order[0] << order[1] << order[2] << order[3] << " step " << step;
    }
  }
}

TEST_P(ForwardStrides, Backwards) {
  Inputs inputs(kShape);
  for (TensorView* tensor : {&inputs.query, &inputs.key, &inputs.value}) {
    for (const int dimension : {2, 3}) {
      auto* data = static_cast<float*>(tensor->data);
      tensor->data = data + (tensor->size(dimension) - 1) * tensor->stride(dimension);
      tensor->strides[dimension] = -tensor->stride(dimension);
    }
  }
  EXPECT_TRUE(is_right(GetParam(), inputs));
}

TEST_P(ForwardStrides, Broadcast) {
  Inputs inputs(kShape);
  inputs.key.strides[0] = 0;    // one batch entry for all
  inputs.value.strides[1] = 0;  // one head for all
  inputs.query.strides[2] = 0;  // one query for all
  EXPECT_TRUE(is_right(GetParam(), inputs));
  inputs.value.strides[2] = 0;
  inputs.key.strides[3] = 0;
  EXPECT_TRUE(is_right(GetParam(), inputs));
}

// Outputs of any strides; what lies between their elements stays as it was.
TEST_P(ForwardStrides, Outputs) {
  const Inputs inputs(kShape);
  const Result expected = run_kernels(GetParam(), inputs);
  const Dims sizes{2, 4, 45, 40};
  for (const Dims& strides : {Dims{4 * 45 * 41, 45 * 41, 41, 1}, Dims{45 * 4 * 40, 40, 4 * 40, 1},
                              Dims{4 * 45 * 81, 45 * 81, 81, 2}, Dims{7200, 1800, 1, 45}}) {
    std::vector<float> out(2 * 4 * 45 * 90, -5.0f), lse(2 * 4 * 45 * 3, -5.0f);
    FlexOptions options;
    options.lse = view(lse.data(), {2, 4, 45}, {1, 2 * 45 * 3, 2});
    const auto problem = attention::validate("test", inputs.query, inputs.key, inputs.value,
                                             view(out.data(), sizes, strides), options);
    const auto executor = make_thread_pool(2);
    const ForwardPrograms none;
    std::vector<float> memory(forward_workspace_bytes(*GetParam().kernels, none, problem, 2) / 4 +
                              16);
    void* aligned =
        reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~63ull);
    run_forward(*GetParam().kernels, none, ForwardBindings(), problem, {aligned, memory.size() * 4},
                *executor);
    std::size_t i = 0, row = 0, written = 0;
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t h = 0; h < 4; ++h) {
        for (int64_t l = 0; l < 45; ++l, ++row) {
          ASSERT_EQ(lse[static_cast<std::size_t>(b + h * 270 + l * 2)], expected.lse[row]);
          for (int64_t e = 0; e < 40; ++e, ++i) {
            ASSERT_EQ(Permuted::at(problem.out, b, h, l, e), expected.out[i]) << to_string(strides);
          }
        }
      }
    }
    for (const float x : out) written += x != -5.0f ? 1 : 0;
    EXPECT_EQ(written, i) << "written between the elements: " << to_string(strides);
  }
}

TEST_P(ForwardStrides, WithoutLse) {
  const Inputs inputs({.q_len = 9, .kv_len = 20, .head_dim = 8});
  const Result expected = run_kernels(GetParam(), inputs);
  std::vector<float> out(9 * 8);
  const auto problem = attention::validate("test", inputs.query, inputs.key, inputs.value,
                                           view(out.data(), {1, 1, 9, 8}), {});
  const auto executor = make_thread_pool(1);
  std::vector<float> memory(forward_workspace_bytes(*GetParam().kernels, {}, problem, 1) / 4 + 16);
  void* aligned =
      reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~63ull);
  run_forward(*GetParam().kernels, {}, {}, problem, {aligned, memory.size() * 4}, *executor);
  EXPECT_EQ(out, expected.out);
}

}  // namespace
}  // namespace fovea::cpu::testing
