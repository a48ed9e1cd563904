// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/cpu_backend.h"

#include <gtest/gtest.h>

namespace fovea::cpu {
namespace {

attention::Problem problem() {
  attention::Problem p;
  const Dims sizes{1, 1, 4, 8};
  p.query = p.key = p.value = p.out = {nullptr, DType::f32, sizes, contiguous_strides(sizes), {}};
  p.batch = p.q_heads = p.kv_heads = 1;
  p.q_len = p.kv_len = 4;
  p.head_dim = p.value_dim = 8;
  return p;
}

using Reasons = std::vector<std::string>;

TEST(CpuBackendError, OutInF64Alone) {
  const auto backend = make_cpu_backend();
  EXPECT_TRUE(backend->can_run(problem()).ok());
  attention::Problem p = problem();
  p.out.dtype = DType::f64;
  EXPECT_EQ(backend->can_run(p).reasons,
            (Reasons{"the cpu backend computes in f32 only: out is f64"}));
  p.query.dtype = p.key.dtype = p.value.dtype = DType::f64;
  EXPECT_TRUE(backend->can_run(p).ok());
}

TEST(CpuBackendError, Float64OnAnotherDevice) {
  attention::BackwardProblem b;
  b.forward = problem();
  b.forward.query.dtype = DType::f64;
  b.forward.query.device.type = DeviceType::cuda;
  const Reasons expected{
      "the cpu backend reads the CPU's memory only: query lies on another device"};
  EXPECT_EQ(make_cpu_backend()->can_run(b.forward).reasons, expected);
  EXPECT_EQ(make_cpu_backend()->can_run_backward(b).reasons, expected);
}

TEST(CpuBackendError, RowOutputsOfOtherDtypes) {
  attention::Problem p = problem();
  double number = 0;
  p.lse = view(&number, {1, 1, 1});
  p.max_scores = view(&number, {1, 1, 1});
  EXPECT_EQ(make_cpu_backend()->can_run(p).reasons,
            (Reasons{"the cpu backend computes in f32 only: lse is f64",
                     "the cpu backend computes in f32 only: max_scores is f64"}));
}

TEST(CpuBackendError, OtherDevices) {
  const auto backend = make_cpu_backend();
  attention::Problem p = problem();
  p.key.device.type = DeviceType::cuda;
  EXPECT_EQ(backend->can_run(p).reasons,
            (Reasons{"the cpu backend reads the CPU's memory only: key lies on another device"}));

  p = problem();
  float number = 1;
  TensorView tensor = view(&number, {1});
  tensor.device.type = DeviceType::cuda;
  const Capture table(tensor);
  p.score_mod = score_mod([&](auto s, auto, auto, auto, auto) { return s * table[0]; });
  EXPECT_EQ(backend->can_run(p).reasons, (Reasons{"the cpu backend reads the CPU's memory only: "
                                                  "captured tensor t0 lies on another device"}));

  p = problem();
  p.weight_mod = weight_mod([&](auto w, auto, auto, auto, auto) { return w * table[0]; });
  p.sinks = tensor;
  EXPECT_EQ(backend->can_run(p).reasons, (Reasons{"the cpu backend reads the CPU's memory only: "
                                                  "sinks lies on another device",
                                                  "the cpu backend reads the CPU's memory only: "
                                                  "captured tensor t0 lies on another device"}));
}

}  // namespace
}  // namespace fovea::cpu
