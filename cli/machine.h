// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace fovea::cli {

/// The CPU backend in its own words: instruction set and threads.
std::string machine_text();

/// "g++ 12.2.0", as it compiled this program.
std::string compiler_text();

}  // namespace fovea::cli
