// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "attention/backend.h"

namespace fovea::cpu {

/// The same backend, with problems in float64 run by float64.h.
std::shared_ptr<const attention::Backend> with_float64(
    std::shared_ptr<const attention::Backend> other);

}  // namespace fovea::cpu
