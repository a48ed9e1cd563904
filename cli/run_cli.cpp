// SPDX-License-Identifier: Apache-2.0
#include "run_cli.h"

#include <exception>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fovea/version.h>
#include "usage_error.h"
#include "verbs.h"

namespace fovea::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kUsageError = 2;

int parse_and_run(CLI::App& app, Action& action, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
    return action();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    fmt::print(stderr, "fovea: {} (--help says more)\n", error.what());
    return kUsageError;
  } catch (const UsageError& error) {
    fmt::print(stderr, "fovea: {}\n", error.what());
    return kUsageError;
  } catch (const std::exception& error) {
    fmt::print(stderr, "fovea: {}\n", error.what());
    return kFailed;
  }
}

}  // namespace

int run_cli(int argc, const char* const* argv) {
  CLI::App app{"fovea: programmable fused attention", "fovea"};
  app.set_version_flag("--version", "fovea " FOVEA_VERSION_STRING);
  app.require_subcommand(1);
  Action action;
  add_demo(app, action);
  add_gallery(app, action);
  add_mask(app, action);
  add_explain(app, action);
  add_bench(app, action);
  add_env(app, action);
  return parse_and_run(app, action, argc, argv);
}

}  // namespace fovea::cli
