// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "attention/backend.h"
#include "program/simplify.h"

/// Plans by structure: what a warm call looks up instead of simplifying and lowering again.
namespace fovea::attention {

struct PreparedPlan {
  program::Simplified score;  // empty if there is no score_mod
  program::Simplified mask;
  std::shared_ptr<const Plan> plan;
};

/// Simplifies the programs and lets the backend prepare.
std::shared_ptr<const PreparedPlan> prepare_plan(const Backend& backend, const Problem& problem);

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
