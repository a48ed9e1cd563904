// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

/// The table of environment variables (fovea::config() shows it). Nothing else in the library reads
/// the environment. A malformed value is an InvalidArgument.
namespace fovea::core {

/// FOVEA_NUM_THREADS: threads of the default pool; default: the processors of this process.
int num_threads();
/// FOVEA_ISA: the instruction set to use; empty: the best that the machine has.
std::string isa();
/// FOVEA_CHECK: whether captured indices are checked at every visible element before a run.
bool check();

}  // namespace fovea::core
