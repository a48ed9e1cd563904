// SPDX-License-Identifier: Apache-2.0
#include "attention/workspace.h"

#include <cstdint>
#include <new>

#include "core/fail.h"

namespace fovea::attention {
namespace {

constexpr std::size_t kKeptBytes = std::size_t{1} << 20;

void* allocate(std::size_t bytes) {
  return ::operator new(bytes, std::align_val_t{kWorkspaceAlignment});
}

// Grows and stays with its thread. A task never starts another call on its thread, so one is enough.
struct Kept {
  ~Kept() { ::operator delete(data, std::align_val_t{kWorkspaceAlignment}); }
  void* data = nullptr;
  std::size_t bytes = 0;
};

void* kept(std::size_t bytes) {
  thread_local Kept memory;
  if (memory.bytes < bytes) {
    void* data = allocate(bytes);
    ::operator delete(memory.data, std::align_val_t{kWorkspaceAlignment});
    memory.data = data;
    memory.bytes = bytes;
  }
  return memory.data;
}

}  // namespace

void ScratchMemory::Free::operator()(void* p) const noexcept {
  ::operator delete(p, std::align_val_t{kWorkspaceAlignment});
}

ScratchMemory::ScratchMemory(const char* where, const Workspace& from_caller, std::size_t bytes) {
  if (from_caller.data != nullptr) {
    core::require(from_caller.bytes >= bytes, where,
                  "workspace must hold what workspace_bytes says",
                  "at least " + std::to_string(bytes), from_caller.bytes);
    const auto offset = reinterpret_cast<uintptr_t>(from_caller.data) % kWorkspaceAlignment;
    core::require(offset == 0, where, "workspace must be aligned",
                  "a multiple of " + std::to_string(kWorkspaceAlignment),
                  "an address " + std::to_string(offset) + " bytes beyond one");
    workspace_ = from_caller;
    return;
  }
  if (bytes == 0) return;
  if (bytes > kKeptBytes) own_.reset(allocate(bytes));
  workspace_ = {own_ ? own_.get() : kept(bytes), bytes};
}

}  // namespace fovea::attention
