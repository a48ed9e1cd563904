// SPDX-License-Identifier: Apache-2.0
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fovea/attention.h>
#include <fovea/version.h>
#include "attention_data.h"
#include "bench.h"
#include "machine.h"
#include "mask_cells.h"
#include "progress.h"
#include "text_table.h"
#include "timing.h"
#include "variants.h"
#include "write_text.h"

namespace fovea::cli {
namespace {

// A variant of the gallery, its mask left out where only the score_mod is of interest.
struct CaseName {
  const char* title;
  const char* variant;
  bool masked;
};

constexpr CaseName kCases[] = {
    {"dense", "noop", true},
    {"causal", "causal", true},
    {"sliding_window", "sliding_window", true},
    {"prefix_lm", "prefix_lm", true},
    {"document", "document", true},
    {"natten", "natten", true},
    {"alibi", "alibi", false},
    {"t5_bias", "t5_bias", false},
    {"softcap", "softcap", false},
    {"checkerboard", "checkerboard", false},
    {"alibi, causal", "alibi", true},
    {"softcap, causal", "softcap", true},
};

struct Case {
  std::string title;
  Variant variant;
  FlexOptions options;
  AttentionData* data;
  double flops;
  std::vector<double> ms, of_peak;
};

Case make_case(const CaseName& name, const BenchOptions& shape, int64_t head_dim,
               AttentionData& data, Executor& executor) {
  Case result{
      name.title, make_variant(name.variant, {shape.length, shape.length, shape.heads, {}, {}}),
      {},         &data,
      0,          {},
      {}};
  double scores = static_cast<double>(shape.length) * static_cast<double>(shape.length);
  result.options.score_mod = result.variant.score_mod;
  result.options.executor = &executor;
  if (name.masked && result.variant.mask_mod) {
    const BlockMask mask = create_block_mask(result.variant.mask_mod,
                                             {shape.length, shape.length, 1, shape.heads, {}});
    scores = static_cast<double>(computed_scores(mask)) /
             static_cast<double>(mask.batch() * mask.heads());
    result.options.block_mask = mask;
  }
  result.flops = 4.0 * static_cast<double>(shape.heads * head_dim) * scores;
  return result;
}

void run_once(Case& item) {
  AttentionData& data = *item.data;
  flex_attention(data.query(), data.key(), data.value(), data.out(), item.options);
}

// Every round runs every case once, each after a measurement of the peak: what disturbs the machine
// for a while then disturbs all alike.
void measure(std::vector<Case>& cases, int repeats, int threads, std::vector<double>& peaks) {
  Progress progress(static_cast<int64_t>(cases.size()) * (repeats + 1));
  for (Case& item : cases) {
    progress.step(item.title + ": first run");
    run_once(item);
  }
  for (int round = 0; round < repeats; ++round) {
    for (Case& item : cases) {
      progress.step(item.title);
      if (&item == &cases.front()) peaks.push_back(measure_fma_peak(threads));
      const double ms = milliseconds_of([&] { run_once(item); });
      item.ms.push_back(ms);
      item.of_peak.push_back(item.flops / ms * 1e3 / peaks.back());
    }
  }
}

void report(const std::vector<Case>& cases, const BenchOptions& options, int threads, double peak) {
  fmt::print("fovea {}: {}, {} threads, FMA peak {:.1f} GFLOP/s\n", FOVEA_VERSION_STRING,
             machine_text(), threads, peak / 1e9);
  fmt::print("float32, batch 1, {} heads, length {}; {} interleaved repeats\n\n", options.heads,
             options.length, options.repeats);
  TextTable table({{"case", TextTable::Align::left},
                   {"D"},
                   {"ms"},
                   {"lowest"},
                   {"highest"},
                   {"GFLOP/s"},
                   {"of peak"},
                   {"over dense"}});
  double dense = 0;
  for (const Case& item : cases) {
    const Spread ms = spread_of(item.ms);
    if (item.title == "dense") dense = ms.median;
    table.add({item.title, std::to_string(item.data->plain().head_dim),
               fmt::format("{:.2f}", ms.median), fmt::format("{:.2f}", ms.lowest),
               fmt::format("{:.2f}", ms.highest),
               fmt::format("{:.1f}", item.flops / ms.median / 1e6),
               fmt::format("{:.1f} %", 100 * spread_of(item.of_peak).median),
               fmt::format("{:.2f}x", ms.median / dense)});
  }
  fmt::print("{}", table.text());
}

nlohmann::json to_json(const std::vector<Case>& cases, const BenchOptions& options, int threads,
                       double peak) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Case& item : cases) {
    const Spread ms = spread_of(item.ms);
    rows.push_back({{"case", item.title},
                    {"head_dim", item.data->plain().head_dim},
                    {"ms", ms.median},
                    {"ms_lowest", ms.lowest},
                    {"ms_highest", ms.highest},
                    {"gflops", item.flops / ms.median / 1e6},
                    {"of_peak", spread_of(item.of_peak).median}});
  }
  return {{"fovea", FOVEA_VERSION_STRING},
          {"bench", "cpu-forward"},
          {"machine", machine_text()},
          {"threads", threads},
          {"peak_flops", peak},
          {"length", options.length},
          {"heads", options.heads},
          {"repeats", options.repeats},
          {"rows", rows}};
}

}  // namespace

int bench_cpu_forward(const BenchOptions& options) {
  const auto pool = options.threads > 0 ? make_thread_pool(options.threads) : nullptr;
  Executor& executor = pool ? *pool : default_executor();
  std::deque<AttentionData> data;
  std::vector<Case> cases;
  for (const int64_t head_dim : {64, 128}) {
    data.push_back(AttentionData::random(options.heads, options.length, head_dim));
    for (const CaseName& name : kCases) {
      cases.push_back(make_case(name, options, head_dim, data.back(), executor));
    }
  }
  std::vector<double> peaks;
  measure(cases, options.repeats, executor.num_threads(), peaks);
  const double peak = spread_of(peaks).median;
  report(cases, options, executor.num_threads(), peak);
  if (!options.json.empty()) {
    write_text(options.json, to_json(cases, options, executor.num_threads(), peak).dump(2) + "\n");
  }
  return 0;
}

}  // namespace fovea::cli
