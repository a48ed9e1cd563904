// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/float64_backend.h"

#include <string>
#include <utility>

#include "cpu/attention/float64.h"
#include "cpu/attention/float64_rows.h"

namespace fovea::cpu {
namespace {

using attention::Backend;
using attention::BackwardProblem;
using attention::Plan;
using attention::Problem;
using attention::Support;

class Float64Plan final : public Plan {
 public:
  std::string describe() const override {
    return "float64, " + std::to_string(Float64Rows::kRows) + " queries x " +
           std::to_string(Float64Rows::kKeys) + " keys at a time; programs a row at a time\n";
  }
};

Support support_of(const Problem& problem) {
  if (problem.query.device.type == DeviceType::cpu) return {};
  // The other tensors are where the query is.
  return {{"the cpu backend reads the CPU's memory only: query lies on another device"}};
}

class WithFloat64 final : public Backend {
 public:
  explicit WithFloat64(std::shared_ptr<const Backend> other) : other_(std::move(other)) {}

  BackendInfo info() const override { return other_->info(); }

  Support can_run(const Problem& problem) const override {
    return own(problem) ? support_of(problem) : other_->can_run(problem);
  }
  void plan_key(const Problem& problem, std::string& key) const override {
    if (own(problem)) {
      key += "float64";
    } else {
      other_->plan_key(problem, key);
    }
  }
  std::shared_ptr<const Plan> prepare(const Problem& problem) const override {
    if (!own(problem)) return other_->prepare(problem);
    return std::make_shared<Float64Plan>();
  }
  std::size_t workspace_bytes(const Plan& plan, const Problem& problem,
                              const Executor& executor) const override {
    return own(problem) ? 0 : other_->workspace_bytes(plan, problem, executor);
  }
  void forward(const Plan& plan, const Problem& problem, const Workspace& workspace,
               Executor& executor) const override {
    if (own(problem)) return float64_forward(problem, executor);
    other_->forward(plan, problem, workspace, executor);
  }
  std::string describe(const Problem& problem) const override {
    return own(problem) ? "" : other_->describe(problem);
  }

  Support can_run_backward(const BackwardProblem& problem) const override {
    return own(problem) ? support_of(problem.forward) : other_->can_run_backward(problem);
  }
  void backward_plan_key(const BackwardProblem& problem, std::string& key) const override {
    if (own(problem)) {
      key += "float64";
    } else {
      other_->backward_plan_key(problem, key);
    }
  }
  std::shared_ptr<const Plan> prepare_backward(const BackwardProblem& problem) const override {
    if (!own(problem)) return other_->prepare_backward(problem);
    return std::make_shared<Float64Plan>();
  }
  std::size_t backward_workspace_bytes(const Plan& plan, const BackwardProblem& problem,
                                       const Executor& executor) const override {
    return own(problem) ? 0 : other_->backward_workspace_bytes(plan, problem, executor);
  }
  void backward(const Plan& plan, const BackwardProblem& problem, const Workspace& workspace,
                Executor& executor) const override {
    if (own(problem)) return float64_backward(problem, executor);
    other_->backward(plan, problem, workspace, executor);
  }

 private:
  static bool own(const Problem& problem) { return problem.query.dtype == DType::f64; }
  static bool own(const BackwardProblem& problem) { return own(problem.forward); }

  const std::shared_ptr<const Backend> other_;
};

}  // namespace

std::shared_ptr<const Backend> with_float64(std::shared_ptr<const Backend> other) {
  return std::make_shared<WithFloat64>(std::move(other));
}

}  // namespace fovea::cpu
