// SPDX-License-Identifier: Apache-2.0
#include "attention/backend.h"

namespace fovea::attention {

Plan::~Plan() = default;
Backend::~Backend() = default;

}  // namespace fovea::attention
