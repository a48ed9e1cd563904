// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fovea/attention.h>
#include <fovea/config.h>
#include <fovea/executor.h>
#include <fovea/version.h>
#include "machine.h"
#include "text_table.h"
#include "verbs.h"

namespace fovea::cli {
namespace {

int run_env() {
  using Align = TextTable::Align;
  fmt::print("fovea     {}\ncompiler  {}\nthreads   {}\n\n", FOVEA_VERSION_STRING, compiler_text(),
             default_executor().num_threads());
  TextTable table({{"backend", Align::left}, {"available", Align::left}, {"detail", Align::left}});
  for (const BackendInfo& backend : backends()) {
    table.add({backend.name, backend.available ? "yes" : "no", backend.detail});
  }
  fmt::print("{}\n", table.text());
  TextTable variables({{"variable", Align::left},
                       {"value", Align::left},
                       {"default", Align::left},
                       {"meaning", Align::left}});
  for (const ConfigEntry& entry : config()) {
    variables.add(
        {entry.name, entry.value.empty() ? "-" : entry.value, entry.default_value, entry.meaning});
  }
  fmt::print("{}", variables.text());
  return 0;
}

}  // namespace

void add_env(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("env", "version, compiler, backends, environment variables");
  verb->callback([&action] { action = run_env; });
}

}  // namespace fovea::cli
