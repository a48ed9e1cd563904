// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "attention/problem.h"
#include "cpu/attention/kernels.h"

/// Runs attention problems with the kernels of every instruction set that this machine has.
namespace fovea::cpu {

namespace wide {
extern const AttentionKernels kAttentionKernels;  // 16 lanes on any machine
}

namespace testing {

struct NamedKernels {
  std::string name;
  const AttentionKernels* kernels = nullptr;
};
std::vector<NamedKernels> all_kernels();
std::string name_of_kernels(const ::testing::TestParamInfo<NamedKernels>& info);
void PrintTo(const NamedKernels& kernels, std::ostream* out);  // for GoogleTest

struct Shape {
  int64_t q_len = 1, kv_len = 1, head_dim = 64;
  int64_t value_dim = 0;  // 0: head_dim
  int64_t batch = 1, q_heads = 1, kv_heads = 1;
};
std::string to_string(const Shape& shape);

/// What tensors are stored as.
struct Types {
  DType query = DType::f32, key = DType::f32, value = DType::f32, out = DType::f32;
};
std::string to_string(const Types& types);

/// Contiguous inputs, normally distributed, and what is asked of them. They are written as f32 and narrowed
/// to `types`, strides kept, when they are used.
struct Inputs {
  explicit Inputs(const Shape& shape, uint64_t seed = 1);
  int64_t value_dim() const { return shape.value_dim == 0 ? shape.head_dim : shape.value_dim; }

  Shape shape;
  std::vector<float> query_data, key_data, value_data;
  TensorView query, key, value;  // of f32; may be replaced by other views
  Types types;
  FlexOptions options;      // mods, block_mask, scale, sinks
  bool max_scores = false;  // asked for
};

/// A copy of an f32 tensor in another dtype, with the same strides.
struct Narrowed {
  Narrowed(const TensorView& from, DType dtype);
  std::vector<uint16_t> data;
  TensorView view;
};

/// out and lse (and max_scores, or nothing), contiguous and widened. They are full of NaN before the run.
struct Result {
  std::vector<float> out, lse, max_scores;
  bool operator==(const Result&) const;  // bit by bit
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b);

/// Of the two ways to compute a result the one to take; or as the backend does.
enum class Path { forward, decode, chosen };

/// With a workspace of exactly the size that is asked for, full of NaN before the run.
Result run_kernels(const NamedKernels& kernels, const Inputs& inputs, int threads = 1,
                   Path path = Path::forward);
Result run_reference(const Inputs& inputs);

/// Whether each element is within `tolerance * (1 + |expected|)`, and NaN or infinite where expected.
::testing::AssertionResult is_near(const std::string& what, const std::vector<float>& got,
                                   const std::vector<float>& expected, double tolerance);
::testing::AssertionResult is_near(const Result& got, const Result& expected,
                                   double tolerance = 4e-6);

/// run_kernels against run_reference, which gives f32 for any `types.out`.
::testing::AssertionResult is_right(const NamedKernels& kernels, const Inputs& inputs,
                                    int threads = 1, double tolerance = 4e-6,
                                    Path path = Path::forward);

}  // namespace testing
}  // namespace fovea::cpu
