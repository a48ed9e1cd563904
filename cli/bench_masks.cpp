// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fovea/block_mask.h>
#include <fovea/version.h>
#include "bench.h"
#include "machine.h"
#include "progress.h"
#include "text_table.h"
#include "timing.h"
#include "variants.h"
#include "write_text.h"

namespace fovea::cli {
namespace {

constexpr int64_t kLengths[] = {4096, 16384, 65536, 262144, 1048576};

struct MaskCase {
  int64_t length;
  Variant variant;
  std::vector<double> ms;
  BlockMask mask;
};

std::vector<MaskCase> mask_cases() {
  // What stays the same for all lengths, as it does in models; documents are always twelve.
  const struct {
    const char* name;
    std::map<std::string, double> parameters;
  } kVariants[] = {{"causal", {}},
                   {"sliding_window", {{"window", 256}}},
                   {"prefix_lm", {{"prefix", 1024}}},
                   {"document", {}},
                   {"natten", {{"kernel", 7}}}};
  std::vector<MaskCase> cases;
  for (const int64_t length : kLengths) {
    for (const auto& [name, parameters] : kVariants) {
      cases.push_back({length, make_variant(name, {length, length, 1, {}, parameters}), {}, {}});
    }
  }
  return cases;
}

}  // namespace

int bench_masks(const BenchOptions& options) {
  std::vector<MaskCase> cases = mask_cases();
  {
    Progress progress(static_cast<int64_t>(cases.size()) * options.repeats);
    for (int round = 0; round < options.repeats; ++round) {
      for (MaskCase& item : cases) {
        progress.step(fmt::format("{} {}", item.variant.name, item.length));
        item.mask = {};  // freeing the last one is not part of building the next
        item.ms.push_back(milliseconds_of([&] {
          item.mask =
              create_block_mask(item.variant.mask_mod, {item.length, item.length, 1, 1, {}});
        }));
      }
    }
  }
  fmt::print("fovea {}: {}\ncreate_block_mask, blocks of 128 x 128, {} interleaved repeats\n\n",
             FOVEA_VERSION_STRING, machine_text(), options.repeats);
  TextTable table({{"mask", TextTable::Align::left},
                   {"length"},
                   {"ms"},
                   {"lowest"},
                   {"highest"},
                   {"MiB"},
                   {"full"},
                   {"partial"},
                   {"skipped"},
                   {"boxes"},
                   {"leaves"},
                   {"elements"}});
  nlohmann::json rows = nlohmann::json::array();
  for (const MaskCase& item : cases) {
    const Spread ms = spread_of(item.ms);
    const BlockCounts counts = item.mask.counts();
    const BlockMaskStats& stats = item.mask.stats();
    const double mib = static_cast<double>(item.mask.memory_bytes()) / (1 << 20);
    table.add({item.variant.name, std::to_string(item.length), fmt::format("{:.3f}", ms.median),
               fmt::format("{:.3f}", ms.lowest), fmt::format("{:.3f}", ms.highest),
               fmt::format("{:.2f}", mib), std::to_string(counts.full),
               std::to_string(counts.partial), std::to_string(counts.skipped),
               std::to_string(stats.boxes), std::to_string(stats.leaves),
               std::to_string(stats.leaf_evaluations)});
    rows.push_back({{"mask", item.variant.name},
                    {"length", item.length},
                    {"ms", ms.median},
                    {"ms_lowest", ms.lowest},
                    {"ms_highest", ms.highest},
                    {"mib", mib},
                    {"full", counts.full},
                    {"partial", counts.partial},
                    {"skipped", counts.skipped},
                    {"boxes", stats.boxes},
                    {"leaves", stats.leaves},
                    {"leaf_evaluations", stats.leaf_evaluations}});
  }
  fmt::print("{}", table.text());
  if (!options.json.empty()) {
    const nlohmann::json all = {{"fovea", FOVEA_VERSION_STRING},
                                {"bench", "masks"},
                                {"machine", machine_text()},
                                {"repeats", options.repeats},
                                {"rows", rows}};
    write_text(options.json, all.dump(2) + "\n");
  }
  return 0;
}

}  // namespace fovea::cli
