// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "attention/backend.h"
#include "cpu/isa.h"

/// The CPU as a backend of attention.
namespace fovea::cpu {

/// Without an ISA: the one in force at each call (see isa_in_force).
std::shared_ptr<const attention::Backend> make_cpu_backend(std::optional<Isa> isa = std::nullopt);

}  // namespace fovea::cpu
