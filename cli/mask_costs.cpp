// SPDX-License-Identifier: Apache-2.0
#include "mask_costs.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include <fmt/format.h>

#include <fovea/block_mask.h>
#include "machine.h"
#include "progress.h"
#include "timing.h"
#include "usage_error.h"
#include "variants.h"

namespace fovea::cli {
namespace {

constexpr std::array<int64_t, 3> kLengths = {4096, 65536, 1048576};
constexpr int kRepeats = 3;
constexpr double kLong = 500;  // milliseconds

// What stays the same for all lengths, as it does in models.
const std::map<std::string, double>& fixed_numbers() {
  static const std::map<std::string, double> numbers = {
      {"window", 1024}, {"kernel", 7},    {"radius", 8}, {"prefix", 1024},
      {"length", 4096}, {"block", 64},    {"near", 64},  {"far", 1024},
      {"prompt", 256},  {"patches", 256}, {"sink", 4}};
  return numbers;
}

Variant variant_for(const std::string& name, int64_t length) {
  std::map<std::string, double> parameters;
  for (const Parameter& p : make_variant(name, {64, 64, 1}).parameters) {
    const auto fixed = fixed_numbers().find(p.name);
    if (fixed != fixed_numbers().end()) parameters[p.name] = fixed->second;
  }
  return make_variant(name, {length, length, 1, {}, parameters});
}

struct Cost {
  BlockCounts counts;
  BlockMaskStats stats;
  double ms = 0, mib = 0;
};

Cost cost_of(const Variant& variant, int64_t length) {
  Cost cost;
  std::vector<double> samples;
  // What takes long is measured once: nothing short disturbs it.
  for (int i = 0; i < kRepeats && (i == 0 || samples.front() < kLong); ++i) {
    BlockMask mask;
    samples.push_back(milliseconds_of(
        [&] { mask = create_block_mask(variant.mask_mod, {length, length, 1, 1, {}}); }));
    cost.counts = mask.counts();
    cost.stats = mask.stats();
    cost.mib = static_cast<double>(mask.memory_bytes()) / (1 << 20);
  }
  std::sort(samples.begin(), samples.end());
  cost.ms = samples[samples.size() / 2];
  return cost;
}

std::string row_of(const std::string& name, int64_t length) {
  const std::string begin = fmt::format("| {} | {} |", name, length);
  try {
    const Cost cost = cost_of(variant_for(name, length), length);
    return fmt::format("{} {} | {} | {} | {} | {} | {:.2f} | {:.2f} |\n", begin, cost.stats.boxes,
                       cost.stats.leaves, cost.counts.full, cost.counts.partial,
                       cost.counts.skipped, cost.ms, cost.mib);
  } catch (const UsageError&) {
    return begin + " its table has an entry for each pair: too large | | | | | | |\n";
  }
}

}  // namespace

std::string mask_costs() {
  std::vector<std::string> masks;
  for (const std::string& name : variant_names()) {
    if (make_variant(name, {64, 64, 1}).mask_mod) masks.push_back(name);
  }
  std::string text = fmt::format(
      "# What block masks cost\n\n"
      "`create_block_mask` for the masks of the [gallery](variants/README.md), blocks of 128 x "
      "128, "
      "one thread, median of {} runs.\nMachine: {}. Boxes: regions whose bounds were computed; "
      "leaves: blocks that stayed open and were looked into.\nNumbers that do not scale with the "
      "length here: ",
      kRepeats, machine_text());
  std::string numbers;
  for (const auto& [name, value] : fixed_numbers()) {
    numbers += fmt::format("{}{} {:g}", numbers.empty() ? "" : ", ", name, value);
  }
  text += numbers +
          ".\nWritten by `fovea gallery --costs FILE`.\n\n"
          "| mask | tokens | boxes | leaves | full | partial | skipped | ms | MiB |\n"
          "|---|---|---|---|---|---|---|---|---|\n";
  Progress progress(static_cast<int64_t>(masks.size() * kLengths.size()));
  for (const std::string& name : masks) {
    for (const int64_t length : kLengths) {
      progress.step(fmt::format("{} {}", name, length));
      text += row_of(name, length);
    }
  }
  return text;
}

}  // namespace fovea::cli
