// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

/// A named, ordered list that parts of the library put themselves into.
namespace fovea::core {

template <class T>
class Registry {
 public:
  struct Entry {
    std::string name;
    std::shared_ptr<const T> item;
  };

  /// The first of a name wins; adding it again changes nothing.
  void add(std::string name, std::shared_ptr<const T> item) {
    const std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_) {
      if (entry.name == name) return;
    }
    entries_.push_back({std::move(name), std::move(item)});
  }
  std::vector<Entry> entries() const {
    const std::lock_guard lock(mutex_);
    return entries_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace fovea::core
