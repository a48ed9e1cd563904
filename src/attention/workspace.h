// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include <fovea/attention.h>

/// The scratch memory of one call: the caller's, or the library's own for the length of the call.
namespace fovea::attention {

inline constexpr std::size_t kWorkspaceAlignment = 64;

class ScratchMemory {
 public:
  /// InvalidArgument if the caller's memory is too small or misaligned. Without any, small needs come from a
  /// buffer that the thread keeps (a small call must not pay for fresh pages), large ones from the heap.
  ScratchMemory(const char* where, const Workspace& from_caller, std::size_t bytes);

  const Workspace& workspace() const noexcept { return workspace_; }

 private:
  struct Free {
    void operator()(void* p) const noexcept;
  };
  std::unique_ptr<void, Free> own_;
  Workspace workspace_;
};

}  // namespace fovea::attention
