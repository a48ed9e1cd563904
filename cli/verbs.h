// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace CLI {
class App;
}

/// The verbs of `fovea`, a file each. add_x describes the verb to the parser; if it is the one that
/// was typed, `action` becomes what runs it and returns the exit code.
namespace fovea::cli {

using Action = std::function<int()>;

void add_demo(CLI::App& app, Action& action);
void add_gallery(CLI::App& app, Action& action);
void add_mask(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_env(CLI::App& app, Action& action);

}  // namespace fovea::cli
