// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fovea/executor.h>

/// fovea's parallel work on torch's own threads.
namespace fovea::torch {

class TorchExecutor final : public Executor {
 public:
  int num_threads() const noexcept override;
  void parallel(int64_t count, TaskRef task) override;
};

Executor& torch_executor();

}  // namespace fovea::torch
