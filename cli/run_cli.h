// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fovea::cli {

/// The whole program. Returns the exit code: 0, 1 if something failed or was found wrong, 2 for a
/// command line that makes no sense. Errors are one line on standard error.
int run_cli(int argc, const char* const* argv);

}  // namespace fovea::cli
