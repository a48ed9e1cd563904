// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fovea/attention.h>
#include "attention/dispatch.h"

/// What the public functions of both directions share.
namespace fovea::api {

const attention::BackendRegistry& registry();  // every backend that is built in
Executor& executor_of(const FlexOptions& options);

}  // namespace fovea::api
