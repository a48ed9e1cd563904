// SPDX-License-Identifier: Apache-2.0
#include "unit/cpu/backward_harness.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>

#include <fovea/random.h>
#include "attention/reference.h"
#include "attention/validate_backward.h"
#include "cpu/attention/backward.h"
#include "cpu/isa.h"

namespace fovea::cpu::testing {
namespace {

constexpr std::size_t kGuardBytes = 256;
constexpr int kGuard = 0xff;  // as floats: NaN
const float kNan = std::numeric_limits<float>::quiet_NaN();

struct Free {
  void operator()(void* p) const { std::free(p); }
};

std::vector<float> normal(std::size_t count, uint64_t seed) {
  const Random random(seed);
  std::vector<float> data(count);
  for (std::size_t i = 0; i < count; ++i) data[i] = random.normal(i);
  return data;
}

// A gradient to be written: contiguous, of the tensor's dtype.
struct Output {
  Output(const TensorView& of, DType dtype, bool wanted) {
    if (!wanted) return;
    values.assign(static_cast<std::size_t>(of.numel()), kNan);
    view = fovea::view(values.data(), of.sizes);
    if (dtype == DType::f32) return;
    narrow.assign(values.size(), 0xffff);
    view.data = narrow.data();
    view.dtype = dtype;
  }
  std::vector<float> widened() const {
    if (narrow.empty()) return values;
    std::vector<float> all;
    for (const uint16_t bits : narrow) {
      BFloat16 bf16;
      Float16 f16;
      bf16.bits = f16.bits = bits;
      all.push_back(view.dtype == DType::bf16 ? static_cast<float>(bf16) : static_cast<float>(f16));
    }
    return all;
  }
  std::vector<float> values;
  std::vector<uint16_t> narrow;
  TensorView view;
};

// To what the dtype holds.
void round_to(DType dtype, std::vector<float>& data) {
  if (dtype == DType::f32) return;
  for (float& x : data) {
    x = dtype == DType::bf16 ? static_cast<float>(BFloat16(x)) : static_cast<float>(Float16(x));
  }
}

TensorView without_batch(TensorView tensor, bool shared) {
  if (shared) tensor.sizes[0] = 1;
  return tensor;
}

}  // namespace

std::vector<NamedBackwardKernels> all_backward_kernels() {
  std::vector<NamedBackwardKernels> all;
  for (const Isa isa : usable_isas()) all.push_back({name_of(isa), &backward_kernels(isa)});
  all.push_back({"wide", &wide::kBackwardKernels});
  return all;
}

bool Gradients::operator==(const Gradients& other) const {
  if (captures.size() != other.captures.size()) return false;
  for (std::size_t i = 0; i < captures.size(); ++i) {
    if (!same_bits(captures[i], other.captures[i])) return false;
  }
  return same_bits(query, other.query) && same_bits(key, other.key) &&
         same_bits(value, other.value) && same_bits(sinks, other.sinks);
}

// The tensors of one call, narrowed, with fresh gradients.
struct BackwardCase::Call {
  Call(const BackwardCase& c, const Types& types)
      : query(c.inputs.query, types.query),
        key(without_batch(c.inputs.key, c.shared_keys), types.key),
        value(without_batch(c.inputs.value, c.shared_keys), types.value),
        dout(c.dout, types.query),
        out(view(const_cast<float*>(c.out_.data()), c.sizes), types.out),
        dquery(query.view, query.view.dtype, c.wanted.query),
        dkey(key.view, key.view.dtype, c.wanted.key),
        dvalue(value.view, value.view.dtype, c.wanted.value) {
    const Shape& s = c.inputs.shape;
    const Dims rows{s.batch, s.q_heads, s.q_len};
    BackwardInputs saved{.out = out.view, .lse = view(c.lse_.data(), rows), .dout = dout.view};
    if (c.with_dlse) saved.dlse = view(c.dlse_data.data(), rows);
    FlexGradients gradients{.query = dquery.view, .key = dkey.view, .value = dvalue.view};
    gradients.score_captures = add_captures(c, c.inputs.options.score_mod);
    gradients.weight_captures = add_captures(c, c.inputs.options.weight_mod);
    if (c.inputs.options.sinks) {
      dsinks.emplace(*c.inputs.options.sinks, DType::f32, c.wanted.sinks);
      if (c.wanted.sinks) gradients.sinks = dsinks->view;
    }
    problem = attention::validate_backward("test", query.view, key.view, value.view, saved,
                                           gradients, c.inputs.options);
    problem.score_joint = derived(problem.forward.score_mod, problem.score_captures);
    problem.weight_joint = derived(problem.forward.weight_mod, problem.weight_captures);
  }

  std::vector<TensorView> add_captures(const BackwardCase& c, const Program& mod) {
    std::vector<TensorView> views;
    if (!mod) return views;
    for (const TensorView& capture : mod.captures()) {
      const bool is_wanted = c.wanted.captures && is_floating(capture.dtype);
      views.push_back(captures.emplace_back(capture, DType::f32, is_wanted).view);
    }
    return views;
  }

  static std::shared_ptr<const program::JointProgram> derived(
      const Program& mod, const std::vector<TensorView>& gradients) {
    if (!mod) return nullptr;
    program::Wanted slots;
    for (std::size_t slot = 0; slot < gradients.size(); ++slot) {
      if (gradients[slot]) slots.captures.push_back(static_cast<int32_t>(slot));
    }
    return std::make_shared<const program::JointProgram>(program::derive(mod.graph(), slots));
  }

  Gradients result() const {
    Gradients all{dquery.widened(), dkey.widened(), dvalue.widened(), {}, {}};
    for (const Output& capture : captures) all.captures.push_back(capture.widened());
    if (dsinks) all.sinks = dsinks->widened();
    return all;
  }

  Narrowed query, key, value, dout, out;
  Output dquery, dkey, dvalue;
  std::deque<Output> captures;
  std::optional<Output> dsinks;
  attention::BackwardProblem problem;
};

BackwardCase::BackwardCase(const Shape& s, uint64_t seed) : inputs(s, seed) {
  sizes = {s.batch, s.q_heads, s.q_len, inputs.value_dim()};
  const auto rows = static_cast<std::size_t>(s.batch * s.q_heads * s.q_len);
  dout_data = normal(rows * static_cast<std::size_t>(inputs.value_dim()), seed + 1);
  dlse_data = normal(rows, seed + 2);
  dout = view(dout_data.data(), sizes);
}

void BackwardCase::prepare() {
  round_to(inputs.types.query, inputs.query_data);
  round_to(inputs.types.key, inputs.key_data);
  round_to(inputs.types.value, inputs.value_data);
  round_to(inputs.types.query, dout_data);
  Inputs exact = inputs;
  exact.types = {};
  if (shared_keys) exact.key.sizes[0] = exact.value.sizes[0] = 1;
  const Result result = run_reference(exact);
  out_ = result.out;
  lse_ = result.lse;
}

Gradients BackwardCase::run(const NamedBackwardKernels& kernels, int threads) const {
  const Call call(*this, inputs.types);
  const attention::BackwardProblem& problem = call.problem;
  const BackwardPrograms programs(problem);
  const BackwardBindings bindings = bind(programs, problem);
  const auto executor = make_thread_pool(threads);

  const std::size_t bytes =
      backward_workspace_bytes(*kernels.kernels, programs, problem, executor->num_threads());
  const std::size_t all = (bytes + kGuardBytes + 63) / 64 * 64;
  const std::unique_ptr<void, Free> memory(std::aligned_alloc(64, all));
  std::memset(memory.get(), kGuard, all);
  run_backward(*kernels.kernels, programs, bindings, problem, {memory.get(), bytes}, *executor);
  for (std::size_t i = bytes; i < all; ++i) {
    if (static_cast<unsigned char*>(memory.get())[i] == kGuard) continue;
    ADD_FAILURE() << "written " << i - bytes << " bytes behind the workspace";
    break;
  }
  return call.result();
}

Gradients BackwardCase::reference() const {
  const Call call(*this, Types{});
  attention::reference_backward(call.problem);
  return call.result();
}

::testing::AssertionResult BackwardCase::is_right(int threads, double tolerance) {
  prepare();
  const Gradients expected = reference();
  for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
    auto near = is_near(run(kernels, threads), expected, tolerance);
    if (!near) return near << " (" << kernels.name << ", " << to_string(inputs.shape) << ")";
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult is_near(const Gradients& got, const Gradients& expected,
                                   double tolerance) {
  auto near = is_near("dquery", got.query, expected.query, tolerance);
  if (near) near = is_near("dkey", got.key, expected.key, tolerance);
  if (near) near = is_near("dvalue", got.value, expected.value, tolerance);
  if (near) near = is_near("dsinks", got.sinks, expected.sinks, tolerance);
  for (std::size_t i = 0; near && i < expected.captures.size(); ++i) {
    near = is_near("gradient of capture " + std::to_string(i), got.captures[i],
                   expected.captures[i], tolerance);
  }
  return near;
}

}  // namespace fovea::cpu::testing
