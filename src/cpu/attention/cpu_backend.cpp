// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/cpu_backend.h"

#include <cstdint>
#include <string>

#include "core/config.h"
#include "cpu/attention/decode.h"
#include "cpu/attention/forward.h"
#include "cpu/attention/kernels.h"
#include "cpu/attention/tile_program.h"
#include "cpu/isa.h"

namespace fovea::cpu {
namespace {

using attention::Backend;
using attention::Plan;
using attention::Problem;
using attention::Support;

class CpuPlan final : public Plan {
 public:
  CpuPlan(Isa chosen, const Problem& problem)
      : isa(chosen),
        kernels(attention_kernels(chosen)),
        program(lower(problem.score_mod, problem.mask_mod)) {}

  std::string describe() const override {
    const std::string text = "instruction set " + std::string(name_of(isa)) + ", " +
                             std::to_string(kernels.lanes) + " lanes, blocks of " +
                             std::to_string(kernels.block_rows) + " x " +
                             std::to_string(kernels.block_columns) + "\n";
    return text + (program.empty() ? "no program\n" : program.describe());
  }

  const Isa isa;
  const AttentionKernels& kernels;
  const TileProgram program;
};

std::string describe_path(const AttentionKernels& kernels, const Problem& problem) {
  const auto number = [](int64_t n) { return std::to_string(n); };
  if (decodes(problem)) {
    return "decode: " + number(problem.group() * problem.q_len) +
           " rows a key head, keys and values read in place in pieces of " + number(kDecodePiece) +
           "\n";
  }
  return "forward: tiles of up to " + number(max_tile_rows_of(problem)) + " queries x " +
         number(key_step_of(problem)) + " keys; " +
         (multiplies_pairs(kernels, problem) ? "bf16 multiplied in pairs" : "products in f32") +
         ", sums in f32\n";
}

const CpuPlan& as_cpu_plan(const Plan& plan) { return static_cast<const CpuPlan&>(plan); }

TileBinding bind_programs(const CpuPlan& plan, const Problem& problem) {
  if (plan.program.empty()) return {};
  return bind(plan.program, problem.score_mod, problem.mask_mod, problem.needs_64_bits);
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
    if (problem.weight_mod) {
      support.reasons.push_back(
          "the cpu backend has no weight_mod: only reference_attention applies one");
    }
    check_captures(support, problem.score_mod);
    check_captures(support, problem.mask_mod);
    return support;
  }

  void plan_key(const Problem& problem, std::string& key) const override {
    key += name_of(isa());
    key += ' ';
    key += std::to_string(problem.head_dim);
    key += ' ';
    key += std::to_string(problem.value_dim);
    for (const TensorView* tensor : {&problem.query, &problem.key, &problem.value}) {
      key += ' ';
      key += name_of(tensor->dtype);
    }
  }

  std::shared_ptr<const Plan> prepare(const Problem& problem) const override {
    return std::make_shared<CpuPlan>(isa(), problem);
  }

  std::size_t workspace_bytes(const Plan& plan, const Problem& problem,
                              const Executor& executor) const override {
    const CpuPlan& cpu = as_cpu_plan(plan);
    const auto bytes = decodes(problem) ? decode_workspace_bytes : forward_workspace_bytes;
    return bytes(cpu.kernels, cpu.program, problem, executor.num_threads());
  }

  void forward(const Plan& plan, const Problem& problem, const Workspace& workspace,
               Executor& executor) const override {
    const CpuPlan& cpu = as_cpu_plan(plan);
    const TileBinding binding = bind_programs(cpu, problem);
    const auto run = decodes(problem) ? run_decode : run_forward;
    run(cpu.kernels, cpu.program, binding, problem, workspace, executor);
  }

  std::string describe(const Problem& problem) const override {
    return describe_path(attention_kernels(isa()), problem);
  }

 private:
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
  return std::make_shared<CpuBackend>(isa);
}

}  // namespace fovea::cpu
