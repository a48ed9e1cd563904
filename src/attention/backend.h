// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <fovea/executor.h>
#include "attention/backward_problem.h"
#include "attention/problem.h"

/// The interface between dispatch and the backends.
namespace fovea::attention {

/// What a backend prepared for one structure of problem (programs, dtypes, head dims: nothing that changes
/// from call to call). Immutable, shared between threads.
class Plan {
 public:
  virtual ~Plan();
  virtual std::string describe()
      const = 0;  // for explain: tiles, instruction set, program as lowered
};

class Backend {
 public:
  virtual ~Backend();
  virtual BackendInfo info() const = 0;
  virtual Support can_run(const Problem& problem) const = 0;
  /// Appends to `key` all that the plan depends on besides the programs' structures.
  virtual void plan_key(const Problem& problem, std::string& key) const = 0;
  virtual std::shared_ptr<const Plan> prepare(const Problem& problem) const = 0;
  virtual std::size_t workspace_bytes(const Plan& plan, const Problem& problem,
                                      const Executor& executor) const = 0;
  virtual void forward(const Plan& plan, const Problem& problem, const Workspace& workspace,
                       Executor& executor) const = 0;
  /// For explain, after the plan's text: what this one call makes of the plan, if that depends on its shape.
  virtual std::string describe(const Problem& problem) const;

  // The same for gradients. A backend that overrides none of them has none.
  virtual Support can_run_backward(const BackwardProblem& problem) const;
  virtual void backward_plan_key(const BackwardProblem& problem, std::string& key) const;
  virtual std::shared_ptr<const Plan> prepare_backward(const BackwardProblem& problem) const;
  virtual std::size_t backward_workspace_bytes(const Plan& plan, const BackwardProblem& problem,
                                               const Executor& executor) const;
  virtual void backward(const Plan& plan, const BackwardProblem& problem,
                        const Workspace& workspace, Executor& executor) const;
};

}  // namespace fovea::attention
