// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "attention/backend.h"
#include "core/registry.h"

/// From a checked problem to the backend and plan that run it.
namespace fovea::attention {

using BackendRegistry = core::Registry<Backend>;

struct Choice {
  std::shared_ptr<const Backend> backend;
  std::shared_ptr<const Plan> plan;
  Problem problem;  // its programs are the simplified ones
};

struct BackwardChoice {
  std::shared_ptr<const Backend> backend;
  std::shared_ptr<const Plan> plan;
  BackwardProblem problem;  // likewise, with what is derived from them
  /// Gradients of captured tensors that the simplified programs no longer read: zeros. The backend does
  /// not see them.
  std::vector<TensorView> dropped;
};

/// The first backend that can (or the one that options.backend names), and its plan from the cache.
/// Unsupported with every reason if none can; InvalidArgument for an unknown name.
Choice choose(const char* where, const BackendRegistry& backends, const Problem& problem,
              const std::string& name);
BackwardChoice choose_backward(const char* where, const BackendRegistry& backends,
                               const BackwardProblem& problem, const std::string& name);

/// One refusal: which backend, and why.
struct Refusal {
  std::string backend, reason;
};
std::vector<Refusal> refusals(const BackendRegistry& backends, const Problem& problem);
std::vector<Refusal> refusals(const BackendRegistry& backends, const BackwardProblem& problem);

/// How many plans are cached; for tests and `explain`.
std::size_t cached_plans();

}  // namespace fovea::attention
