// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fovea/attention.h>
#include "attention_data.h"
#include "parse_options.h"
#include "usage_error.h"
#include "variants.h"
#include "verbs.h"

namespace fovea::cli {
namespace {

struct ExplainOptions {
  std::string variant, score, mask, weight;
  std::string length = "4096";
  int64_t heads = 4;
  int64_t kv_heads = 0;  // 0: as many as heads
  int64_t head_dim = 64;
  std::vector<std::string> parameters;
};

int run_explain(const ExplainOptions& options) {
  const Extent length = parse_extent("--length", options.length);
  if (!options.variant.empty() && !(options.score.empty() && options.mask.empty())) {
    throw UsageError("expected --variant, or --score and --mask, not both");
  }
  Variant variant;
  std::string title;
  if (!options.variant.empty()) {
    variant = make_variant(
        options.variant,
        {length.q, length.kv, options.heads, {}, parse_parameters(options.parameters)});
    title = fmt::format("{}: {}\n{}\n", variant.name, variant.description, variant.formula);
    for (const Parameter& p : variant.parameters)
      title += fmt::format("{} = {}\n", p.name, p.value);
    title += "\n";
  }
  if (!options.score.empty()) variant.score_mod = parse_program(options.score);
  if (!options.mask.empty()) variant.mask_mod = parse_program(options.mask);
  FlexOptions flex;
  flex.score_mod = variant.score_mod;
  if (!options.weight.empty()) flex.weight_mod = parse_program(options.weight);
  if (variant.mask_mod) {
    flex.block_mask =
        create_block_mask(variant.mask_mod, {length.q, length.kv, 1, options.heads, {}});
  }
  AttentionData queries(options.heads, length.q, 0, options.head_dim);
  const int64_t kv_heads = options.kv_heads > 0 ? options.kv_heads : options.heads;
  const AttentionData keys(kv_heads, 0, length.kv, options.head_dim);
  const std::string text = explain(queries.query(), keys.key(), keys.value(), queries.out(), flex);
  fmt::print("{}{}", title, text);
  for (const Program& mod : {flex.score_mod, flex.weight_mod}) {
    if (mod) fmt::print("{}\n", derivative_text(simplify(mod)));
  }
  return 0;
}

}  // namespace

void add_explain(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("explain",
                                  "what a call would do: programs, shape classes, blocks, backend");
  auto options = std::make_shared<ExplainOptions>();
  verb->add_option("--variant,variant", options->variant, "a variant of `fovea gallery`")
      ->check(CLI::IsMember(variant_names()));
  verb->add_option("--param", options->parameters,
                   "NAME=NUMBER, a parameter of the variant (repeatable)");
  verb->add_option("--score", options->score,
                   "score_mod as text, such as \"score + 0.5 * (kv - q)\"");
  verb->add_option("--mask", options->mask, "mask_mod as text, such as \"q >= kv\"");
  verb->add_option("--weight", options->weight,
                   "weight_mod as text, such as \"weight_mod(w, b, h, q, kv) { return w * 0.5 }\"");
  verb->add_option("--length", options->length, "N, or NxM for queries x keys")
      ->capture_default_str();
  verb->add_option("--heads", options->heads)->check(CLI::Range(1, 1024))->capture_default_str();
  verb->add_option("--kv-heads", options->kv_heads, "default: as many as heads")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--head-dim", options->head_dim)
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  verb->callback([&action, options] { action = [options] { return run_explain(*options); }; });
}

}  // namespace fovea::cli
