// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace fovea::cli {

/// By how many bytes the process's resident memory rose at most while `work` ran. What is to be left out,
/// such as outputs, must have been written to before. Nothing where the system does not tell (Linux
/// does).
std::optional<int64_t> peak_memory_of(const std::function<void()>& work);

}  // namespace fovea::cli
