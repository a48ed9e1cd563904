// SPDX-License-Identifier: Apache-2.0
#include "attention/backend.h"

#include <fovea/error.h>

namespace fovea::attention {
namespace {

[[noreturn]] void fail_no_backward() {
  throw InternalError("[flex_attention_backward] this backend has no backward pass");
}

}  // namespace

Plan::~Plan() = default;
Backend::~Backend() = default;

std::string Backend::describe(const Problem&) const { return {}; }

Support Backend::can_run_backward(const BackwardProblem&) const {
  return {{"the " + info().name + " backend has no backward pass"}};
}
void Backend::backward_plan_key(const BackwardProblem&, std::string&) const { fail_no_backward(); }
std::shared_ptr<const Plan> Backend::prepare_backward(const BackwardProblem&) const {
  fail_no_backward();
}
std::size_t Backend::backward_workspace_bytes(const Plan&, const BackwardProblem&,
                                              const Executor&) const {
  fail_no_backward();
}
void Backend::backward(const Plan&, const BackwardProblem&, const Workspace&, Executor&) const {
  fail_no_backward();
}

}  // namespace fovea::attention
