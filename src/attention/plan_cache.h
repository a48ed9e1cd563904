// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "attention/backend.h"
#include "program/simplify.h"

/// Plans by structure: what a warm call looks up instead of simplifying and lowering again.
namespace fovea::attention {

/// The programs of a problem, simplified; empty where it has none.
struct PreparedPrograms {
  explicit PreparedPrograms(const Problem& problem);
  void bind(Problem& problem) const;  // they take the place of the problem's own

  program::Simplified score, weight, mask;
};

struct PreparedPlan {
  explicit PreparedPlan(const Problem& problem) : programs(problem) {}

  /// The problem as a backend sees it: with simplified programs, and gradients of captured tensors by
  /// their slots. A tensor that simplification dropped has none: its gradient is put into `dropped`.
  BackwardProblem bind(const BackwardProblem& problem, std::vector<TensorView>& dropped) const;

  PreparedPrograms programs;
  // Of a backward pass: derived from the simplified programs.
  std::shared_ptr<const program::JointProgram> score_joint, weight_joint;
  std::shared_ptr<const Plan> plan;
};

/// Simplifies the programs, for backward derives from them, and lets the backend prepare.
std::shared_ptr<const PreparedPlan> prepare_plan(const Backend& backend, const Problem& problem);
std::shared_ptr<const PreparedPlan> prepare_plan(const Backend& backend,
                                                 const BackwardProblem& problem);

/// The least recently used plan leaves when there are too many. Safe for any number of threads.
class PlanCache {
 public:
  static constexpr std::size_t kMost = 256;

  std::shared_ptr<const PreparedPlan> find(const std::string& key);
  /// If another thread was faster, its plan is kept and returned.
  std::shared_ptr<const PreparedPlan> insert(const std::string& key,
                                             std::shared_ptr<const PreparedPlan> plan);
  std::size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const PreparedPlan> plan;
  };
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
};

}  // namespace fovea::attention
