// SPDX-License-Identifier: Apache-2.0
#include "attention/plan_cache.h"

namespace fovea::attention {

std::shared_ptr<const PreparedPlan> PlanCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->plan;
}

std::shared_ptr<const PreparedPlan> PlanCache::insert(const std::string& key,
                                                      std::shared_ptr<const PreparedPlan> plan) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) return found->second->plan;
  entries_.push_front({key, std::move(plan)});
  by_key_.emplace(entries_.front().key, entries_.begin());
  if (entries_.size() > kMost) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  return entries_.front().plan;
}

std::size_t PlanCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace fovea::attention
