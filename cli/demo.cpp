// SPDX-License-Identifier: Apache-2.0
#include "demo.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "progress.h"
#include "verbs.h"
#include "write_text.h"

namespace fovea::cli {
namespace {

void print(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);  // a row is seen when it is there, in a pipe too
}

int run_demo(const DemoOptions& options) {
  std::vector<std::string> names = options.variants;
  if (names.empty()) names.assign(std::begin(kDemoVariants), std::end(kDemoVariants));
  const Stopwatch watch;
  std::filesystem::create_directories(options.out);
  DemoSetting setting = prepare_demo(options);
  print(demo_header(setting) + "\n" + demo_titles());
  std::vector<DemoRow> rows;
  {
    Progress progress(static_cast<int64_t>(names.size()) * 5);
    for (const std::string& name : names) {
      const auto report = [&](const std::string& what) { progress.step(what); };
      rows.push_back(run_demo_row(setting, make_demo_variant(setting, name), report));
      report(name + ": pictures");
      draw_demo_row(setting, rows.back());
      progress.clear();
      print(demo_lines(rows.back()));
    }
  }
  const std::filesystem::path folder = options.out;
  write_text(folder / "index.html", demo_page(setting, rows));
  if (!options.json.empty()) write_text(options.json, demo_json(setting, rows));
  const auto wrong =
      std::count_if(rows.begin(), rows.end(), [](const DemoRow& r) { return !r.right; });
  print(fmt::format("\n{} of {} variants right, in {:.0f} s. Pictures: {}\n",
                    static_cast<int64_t>(rows.size()) - wrong, rows.size(),
                    watch.milliseconds() / 1e3, (folder / "index.html").string()));
  return wrong == 0 ? 0 : 1;
}

}  // namespace

void add_demo(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("demo", "run, check, measure and draw the gallery on real text");
  auto options = std::make_shared<DemoOptions>();
  verb->add_option("--text", options->text,
                   "folder of text files (default: this repository's, else here)")
      ->check(CLI::ExistingDirectory);
  verb->add_option("--length", options->length, "tokens, that is bytes")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  verb->add_option("--heads", options->heads)->check(CLI::Range(1, 1024))->capture_default_str();
  verb->add_option("--head-dim", options->head_dim)
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  verb->add_option("--threads", options->threads, "default: FOVEA_NUM_THREADS, else the processors")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--out", options->out, "folder for the pictures")->capture_default_str();
  verb->add_option("--json", options->json, "file for the rows as JSON");
  verb->add_option("--variant", options->variants,
                   "these instead (repeatable; `fovea gallery` names all)")
      ->check(CLI::IsMember(variant_names()));
  verb->callback([&action, options] { action = [options] { return run_demo(*options); }; });
}

}  // namespace fovea::cli
