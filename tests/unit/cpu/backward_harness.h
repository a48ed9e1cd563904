// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "attention/backward_problem.h"
#include "cpu/attention/backward_kernels.h"
#include "unit/cpu/attention_harness.h"

/// Runs backward problems with the kernels of every instruction set that this machine has, and the float64
/// reference.
namespace fovea::cpu {

namespace wide {
extern const BackwardKernels kBackwardKernels;  // 16 lanes on any machine
}

namespace testing {

struct NamedBackwardKernels {
  std::string name;
  const BackwardKernels* kernels = nullptr;
};
std::vector<NamedBackwardKernels> all_backward_kernels();

/// Which gradients are asked for.
struct WantedGradients {
  bool query = true, key = true, value = true, captures = true, sinks = true;
};

/// Gradients, contiguous and widened. They are full of NaN before the run.
struct Gradients {
  std::vector<float> query, key, value;
  std::vector<std::vector<float>> captures;  // of score_mod, then of weight_mod
  std::vector<float> sinks;
  bool operator==(const Gradients&) const;  // bit by bit
};

/// Inputs with what forward gave for them (the reference, rounded) and random gradients of it.
class BackwardCase {
 public:
  explicit BackwardCase(const Shape& shape, uint64_t seed = 1);
  BackwardCase(const BackwardCase&) = delete;

  /// Key and value of batch 1, shared by all batches.
  bool shared_keys = false;
  bool with_dlse = true;
  WantedGradients wanted;

  /// Rounds the inputs to inputs.types, and runs the reference of the forward pass. Before the first of the
  /// following, and after every change of inputs.
  void prepare();

  /// With a workspace of exactly the size that is asked for, full of NaN before the run.
  Gradients run(const NamedBackwardKernels& kernels, int threads = 1) const;
  Gradients reference() const;

  /// run() of every instruction set against reference().
  ::testing::AssertionResult is_right(int threads = 1, double tolerance = 1e-5);

  Inputs inputs;
  std::vector<float> dout_data, dlse_data;
  TensorView dout;  // of f32; may be replaced by other views
  Dims sizes;       // of out

 private:
  struct Call;
  std::vector<float> out_, lse_;
};

/// Whether each element is within `tolerance * (1 + |expected|)`, and NaN or infinite where expected.
::testing::AssertionResult is_near(const Gradients& got, const Gradients& expected,
                                   double tolerance);

}  // namespace testing
}  // namespace fovea::cpu
