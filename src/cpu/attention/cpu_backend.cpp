// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/cpu_backend.h"

#include <cstdint>
#include <string>

#include "core/config.h"
#include "cpu/attention/backward.h"
#include "cpu/attention/backward_layout.h"
#include "cpu/attention/float64_backend.h"
#include "cpu/attention/forward_programs.h"
#include "cpu/attention/kernels.h"
#include "cpu/attention/paths.h"
#include "cpu/isa.h"

namespace fovea::cpu {
namespace {

using attention::Backend;
using attention::BackwardProblem;
using attention::Plan;
using attention::Problem;
using attention::Support;

class CpuPlan final : public Plan {
 public:
  CpuPlan(Isa chosen, const Problem& problem)
      : isa(chosen), kernels(attention_kernels(chosen)), programs(problem) {}

  std::string describe() const override {
    return "instruction set " + std::string(name_of(isa)) + ", " + std::to_string(kernels.lanes) +
           " lanes, blocks of " + std::to_string(kernels.block_rows) + " x " +
           std::to_string(kernels.block_columns) + "\n" + programs.describe();
  }

  const Isa isa;
  const AttentionKernels& kernels;
  const ForwardPrograms programs;
};

const CpuPlan& as_cpu_plan(const Plan& plan) { return static_cast<const CpuPlan&>(plan); }

class CpuBackwardPlan final : public Plan {
 public:
  CpuBackwardPlan(Isa chosen, const BackwardProblem& problem)
      : isa(chosen), kernels(backward_kernels(chosen)), programs(problem) {}

  std::string describe() const override {
    return "instruction set " + std::string(name_of(isa)) + ", " + std::to_string(kernels.lanes) +
           " lanes\nproducts in f32; narrower inputs are widened\nchunks of keys, each with its "
           "own "
           "gradient of the queries: added up in their order\n" +
           programs.describe();
  }

  const Isa isa;
  const BackwardKernels& kernels;
  const BackwardPrograms programs;
};

const CpuBackwardPlan& as_backward_plan(const Plan& plan) {
  return static_cast<const CpuBackwardPlan&>(plan);
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(std::optional<Isa> isa) : isa_(isa) {}

  BackendInfo info() const override {
    std::string detail = std::string(name_of(isa())) + " of";
    for (const Isa usable : usable_isas()) detail += std::string(" ") + name_of(usable);
    detail += ", " + std::to_string(core::num_threads()) + " threads";
    return {.name = "cpu", .available = true, .detail = std::move(detail)};
  }

  Support can_run(const Problem& problem) const override {
    Support support;
    const auto check = [&](const char* name, const TensorView& tensor) {
      if (tensor.dtype == DType::f64) {
        support.reasons.push_back(std::string("the cpu backend computes in f32 only: ") + name +
                                  " is " + name_of(tensor.dtype));
      }
      check_device(support, name, tensor);
    };
    check("query", problem.query);
    check("key", problem.key);
    check("value", problem.value);
    check("out", problem.out);
    if (problem.lse) check("lse", *problem.lse);
    if (problem.max_scores) check("max_scores", *problem.max_scores);
    if (problem.sinks) check_device(support, "sinks", *problem.sinks);
    for (const Program* mod : {&problem.score_mod, &problem.mask_mod, &problem.weight_mod}) {
      check_captures(support, *mod);
    }
    return support;
  }

  void plan_key(const Problem& problem, std::string& key) const override {
    add_to_key(problem, key);
  }

  std::shared_ptr<const Plan> prepare(const Problem& problem) const override {
    return std::make_shared<CpuPlan>(isa(), problem);
  }

  std::size_t workspace_bytes(const Plan& plan, const Problem& problem,
                              const Executor& executor) const override {
    const CpuPlan& cpu = as_cpu_plan(plan);
    return attention_workspace_bytes(cpu.kernels, cpu.programs, problem, executor.num_threads());
  }

  void forward(const Plan& plan, const Problem& problem, const Workspace& workspace,
               Executor& executor) const override {
    const CpuPlan& cpu = as_cpu_plan(plan);
    const ForwardBindings bindings = bind(cpu.programs, problem);
    run_attention(cpu.kernels, cpu.programs, bindings, problem, workspace, executor);
  }

  std::string describe(const Problem& problem) const override {
    return describe_paths(attention_kernels(isa()), problem);
  }

  Support can_run_backward(const BackwardProblem& problem) const override {
    // lse may be wide here.
    Problem inputs = problem.forward;
    inputs.lse = inputs.max_scores = std::nullopt;
    Support support = can_run(inputs);
    const auto check = [&](const char* name, const TensorView& tensor) {
      if (tensor) check_device(support, name, tensor);
    };
    check("lse", *problem.forward.lse);
    check("dout", problem.dout);
    if (problem.dlse) check("dlse", *problem.dlse);
    check("the gradient of query", problem.dquery);
    check("the gradient of key", problem.dkey);
    check("the gradient of value", problem.dvalue);
    return support;
  }

  void backward_plan_key(const BackwardProblem& problem, std::string& key) const override {
    add_to_key(problem.forward, key);
  }

  std::shared_ptr<const Plan> prepare_backward(const BackwardProblem& problem) const override {
    return std::make_shared<CpuBackwardPlan>(isa(), problem);
  }

  std::size_t backward_workspace_bytes(const Plan& plan, const BackwardProblem& problem,
                                       const Executor& executor) const override {
    const CpuBackwardPlan& own = as_backward_plan(plan);
    return cpu::backward_workspace_bytes(own.kernels, own.programs, problem,
                                         executor.num_threads());
  }

  void backward(const Plan& plan, const BackwardProblem& problem, const Workspace& workspace,
                Executor& executor) const override {
    const CpuBackwardPlan& cpu = as_backward_plan(plan);
    const BackwardBindings bindings = bind(cpu.programs, problem);
    run_backward(cpu.kernels, cpu.programs, bindings, problem, workspace, executor);
  }

 private:
  void add_to_key(const Problem& problem, std::string& key) const {
    key += name_of(isa());
    key += ' ';
    key += std::to_string(problem.head_dim);
    key += ' ';
    key += std::to_string(problem.value_dim);
    for (const TensorView* tensor : {&problem.query, &problem.key, &problem.value}) {
      key += ' ';
      key += name_of(tensor->dtype);
    }
    if (problem.needs_normalized_weights) key += " two passes";
  }

  Isa isa() const { return isa_ ? *isa_ : isa_in_force(); }

  static void check_device(Support& support, const std::string& name, const TensorView& tensor) {
    if (tensor.device.type == DeviceType::cpu) return;
    support.reasons.push_back("the cpu backend reads the CPU's memory only: " + name +
                              " lies on another device");
  }

  static void check_captures(Support& support, const Program& program) {
    if (!program) return;
    for (std::size_t i = 0; i < program.captures().size(); ++i) {
      check_device(support, "captured tensor t" + std::to_string(i), program.captures()[i]);
    }
  }

  const std::optional<Isa> isa_;
};

}  // namespace

std::shared_ptr<const Backend> make_cpu_backend(std::optional<Isa> isa) {
  return with_float64(std::make_shared<CpuBackend>(isa));
}

}  // namespace fovea::cpu
