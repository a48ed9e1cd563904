// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fovea/block_mask.h>
#include "mask_picture.h"
#include "parse_options.h"
#include "program_lines.h"
#include "timing.h"
#include "usage_error.h"
#include "variants.h"
#include "verbs.h"
#include "write_text.h"

namespace fovea::cli {
namespace {

struct MaskOptions {
  std::string variant, program;
  std::string length = "4096";
  std::string block = "128";
  int64_t heads = 1;
  int64_t head = 0;
  std::vector<std::string> parameters;
  bool text = false;
  std::string svg, png;
  int64_t size = 1024;
};

Variant chosen(const MaskOptions& options, const Extent& length) {
  if (options.variant.empty() == options.program.empty()) {
    throw UsageError("expected one of --variant and --program");
  }
  Variant variant;
  if (!options.variant.empty()) {
    variant = make_variant(
        options.variant,
        {length.q, length.kv, options.heads, {}, parse_parameters(options.parameters)});
    // A variant that masks nothing is still a picture: of full blocks.
    if (!variant.mask_mod) variant.mask_mod = mask_mod([](auto...) { return Value(true); });
    return variant;
  }
  variant.mask_mod = parse_program(options.program);
  if (variant.mask_mod.kind() != ModKind::mask) {
    throw UsageError("--program: expected a mask_mod (a bool of b, h, q and kv), got a score_mod");
  }
  return variant;
}

void print_counts(const BlockMask& mask, double milliseconds) {
  const BlockCounts counts = mask.counts();
  const BlockMaskStats& stats = mask.stats();
  const auto total = static_cast<double>(std::max<int64_t>(counts.total(), 1));
  const auto line = [&](const char* name, int64_t count) {
    fmt::print("{:<9} {:>10}  {:5.1f} %\n", name, count, 100 * static_cast<double>(count) / total);
  };
  fmt::print("{:<9} {} x {} tokens, blocks of {} x {}, {} x {} blocks, {} plane(s)\n", "size",
             mask.q_len(), mask.kv_len(), mask.block_size().q, mask.block_size().kv, mask.rows(),
             mask.columns(), mask.batch() * mask.heads());
  line("full", counts.full);
  line("partial", counts.partial);
  line("skipped", counts.skipped);
  fmt::print("{:<9} {:.2f} ms: {} boxes bounded, {} blocks looked into ({} elements)\n", "built in",
             milliseconds, stats.boxes, stats.leaves, stats.leaf_evaluations);
  fmt::print("{:<9} {:.1f} KiB\n", "memory", static_cast<double>(mask.memory_bytes()) / 1024);
}

int run_mask(const MaskOptions& options) {
  const Extent length = parse_extent("--length", options.length);
  const Extent block = parse_extent("--block", options.block);
  if (options.head >= options.heads) throw UsageError("--head: expected less than --heads");
  const Variant variant = chosen(options, length);
  const std::string program = one_line(variant.mask_mod);
  const Stopwatch watch;
  const BlockMask mask = create_block_mask(
      variant.mask_mod, {length.q, length.kv, 1, options.heads, {block.q, block.kv}});
  const double milliseconds = watch.milliseconds();
  const std::string name = variant.name.empty() ? "program" : variant.name;
  const std::string title = variant.name.empty() ? program : fmt::format("{}: {}", name, program);
  const MaskPicture picture{title, 0, options.head, options.size};
  if (!options.svg.empty()) write_text(options.svg, mask_svg(mask, picture));
  if (!options.png.empty()) write_png(draw_mask(mask, picture), options.png);
  fmt::print("{:<9} {}\n", name.size() < 9 ? name : name + ":", program);
  for (const Parameter& p : variant.parameters) fmt::print("{:<9} {}\n", p.name, p.value);
  print_counts(mask, milliseconds);
  if (options.text) fmt::print("\n{}\n", mask.to_string(0, options.head, 32, 32));
  return 0;
}

}  // namespace

void add_mask(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("mask", "builds a block mask: counts, cost, pictures");
  auto options = std::make_shared<MaskOptions>();
  verb->add_option("--variant,variant", options->variant, "a variant of `fovea gallery`")
      ->check(CLI::IsMember(variant_names()));
  verb->add_option("--param", options->parameters,
                   "NAME=NUMBER, a parameter of the variant (repeatable)");
  verb->add_option("--program", options->program,
                   "a mask_mod as text, such as \"q >= kv && q - kv < 256\"");
  verb->add_option("--length", options->length, "N, or NxM for queries x keys")
      ->capture_default_str();
  verb->add_option("--block", options->block, "N, or NxM for queries x keys")
      ->capture_default_str();
  verb->add_option("--heads", options->heads)->check(CLI::Range(1, 1024))->capture_default_str();
  verb->add_option("--head", options->head, "the one that is drawn")->check(CLI::NonNegativeNumber);
  verb->add_flag("--text", options->text, "draw it here");
  verb->add_option("--svg", options->svg, "file to draw it into");
  verb->add_option("--png", options->png, "file to draw it into");
  verb->add_option("--size", options->size, "pixels of the longer side")
      ->check(CLI::Range(64, 8192))
      ->capture_default_str();
  verb->callback([&action, options] { action = [options] { return run_mask(*options); }; });
}

}  // namespace fovea::cli
