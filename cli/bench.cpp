// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "verbs.h"

namespace fovea::cli {

void add_bench(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("bench", "times of our own, medians of interleaved repeats");
  verb->require_subcommand(1);
  auto options = std::make_shared<BenchOptions>();
  const auto add = [&](const char* name, const char* what, int (*run)(const BenchOptions&)) {
    auto* bench = verb->add_subcommand(name, what);
    bench->add_option("--json", options->json, "file for the rows as JSON");
    bench->add_option("--repeats", options->repeats)
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    bench->callback([&action, options, run] { action = [options, run] { return run(*options); }; });
    return bench;
  };
  auto* forward =
      add("cpu-forward", "flex_attention in float32, D = 64 and 128", bench_cpu_forward);
  forward->add_option("--length", options->length)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  forward->add_option("--heads", options->heads)->check(CLI::Range(1, 1024))->capture_default_str();
  const auto add_threads = [&](CLI::App* bench) {
    bench
        ->add_option("--threads", options->threads,
                     "default: FOVEA_NUM_THREADS, else the processors")
        ->check(CLI::Range(1, 1024));
  };
  add_threads(forward);
  add("masks", "create_block_mask from 4096 to 1048576 tokens", bench_masks);
  auto* chunked =
      add("chunked", "chunked_attention from 64 to 65536 tokens, time and memory", bench_chunked);
  chunked->add_flag("--long", options->to_a_million, "to 1048576 tokens; takes most of an hour");
  chunked->add_option("--png", options->png, "file for a plot");
  add_threads(chunked);
}

}  // namespace fovea::cli
