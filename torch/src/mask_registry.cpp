// SPDX-License-Identifier: Apache-2.0
#include "mask_registry.h"

#include <mutex>
#include <string>
#include <unordered_map>

#include <ATen/ops/from_blob.h>

#include <fovea/error.h>

namespace fovea::torch {
namespace {

class Registry {
 public:
  int64_t add(std::shared_ptr<const KeptMask> mask) {
    const std::lock_guard lock(mutex_);
    masks_.emplace(++last_, std::move(mask));
    return last_;
  }
  void remove(int64_t name) {
    std::shared_ptr<const KeptMask> doomed;  // dies after the lock
    const std::lock_guard lock(mutex_);
    const auto found = masks_.find(name);
    if (found == masks_.end()) return;
    doomed = std::move(found->second);
    masks_.erase(found);
  }
  std::shared_ptr<const KeptMask> find(int64_t name) {
    const std::lock_guard lock(mutex_);
    const auto found = masks_.find(name);
    return found == masks_.end() ? nullptr : found->second;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<int64_t, std::shared_ptr<const KeptMask>> masks_;
  int64_t last_ = 0;
};

// Never destroyed: tensors may die after static objects.
Registry& registry() {
  static auto* const all = new Registry;
  return *all;
}

}  // namespace

at::Tensor keep_mask(KeptMask mask) {
  auto* name = new int64_t(registry().add(std::make_shared<const KeptMask>(std::move(mask))));
  return at::from_blob(
      name, {1}, {1},
      [](void* data) {
        auto* owned = static_cast<int64_t*>(data);
        registry().remove(*owned);
        delete owned;
      },
      at::TensorOptions().dtype(at::kLong));
}

std::shared_ptr<const KeptMask> mask_of(const char* where, const at::Tensor& handle) {
  std::shared_ptr<const KeptMask> mask;
  if (handle.numel() == 1 && handle.scalar_type() == at::kLong && handle.is_cpu()) {
    mask = registry().find(*handle.const_data_ptr<int64_t>());
  }
  if (!mask) {
    throw InvalidArgument(
        std::string("[") + where +
        "] block_mask: expected the handle of a mask that is alive, got another tensor "
        "(a BlockMask must outlive the calls that use it)");
  }
  return mask;
}

}  // namespace fovea::torch
