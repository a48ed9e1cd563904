// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fovea/attention.h>
#include <fovea/chunked_attention.h>
#include <fovea/version.h>
#include "attention_data.h"
#include "bench.h"
#include "image.h"
#include "log_plot.h"
#include "machine.h"
#include "peak_memory.h"
#include "progress.h"
#include "text_table.h"
#include "timing.h"
#include "write_text.h"

namespace fovea::cli {
namespace {

constexpr int64_t kHeadDim = 64;
constexpr int64_t kShortest = 64, kLongest = 65536, kLongestOfAll = 1 << 20;
constexpr double kBudget = 2000;  // ms a length: beyond it no repeat is begun
constexpr double kSample = 2;     // ms: shorter calls are timed several at a time

struct Length {
  int64_t length = 0;
  std::vector<double> ms, of_peak;
  int64_t tensor_bytes = 0;  // query, key, value and out
  int64_t workspace_bytes = 0;
  std::optional<int64_t> peak_bytes;  // measured, beyond the tensors

  double flops() const {
    return 4.0 * kHeadDim * static_cast<double>(length) * static_cast<double>(length);
  }
};

Length measure(int64_t length, int repeats, Executor& executor) {
  AttentionData data = AttentionData::random(1, length, kHeadDim);
  ChunkedOptions options;
  options.executor = &executor;
  const auto run = [&] {
    chunked_attention(data.query(), data.key(), data.value(), data.out(), options);
  };
  Length result;
  result.length = length;
  result.tensor_bytes = 4 * length * kHeadDim * static_cast<int64_t>(sizeof(float));
  result.workspace_bytes = static_cast<int64_t>(
      chunked_workspace_bytes(data.query(), data.key(), data.value(), data.out(), options));
  data.fill_result(0);  // its pages are there now
  // The run whose memory is measured warms up, unless it takes so long that it does not matter.
  double first = 0;
  result.peak_bytes = peak_memory_of([&] { first = milliseconds_of(run); });
  const int calls = std::max(1, static_cast<int>(kSample / first));
  double spent = 0;
  const auto record = [&](double ms) {
    spent += ms * calls;
    result.ms.push_back(ms);
    const double peak = measure_fma_peak(executor.num_threads());
    result.of_peak.push_back(result.flops() / ms * 1e3 / peak);
  };
  if (first > kBudget) record(first);
  while (static_cast<int>(result.ms.size()) < repeats && spent < kBudget) {
    if (calls > 1) run();  // the threads have gone to sleep
    const double ms = milliseconds_of([&] {
      for (int i = 0; i < calls; ++i) run();
    });
    record(ms / calls);
  }
  return result;
}

std::string mib(int64_t bytes) {
  return fmt::format("{:.2f}", static_cast<double>(bytes) / (1 << 20));
}

std::string table_of(const std::vector<Length>& lengths) {
  TextTable table({{"length"},
                   {"forward ms"},
                   {"lowest"},
                   {"highest"},
                   {"runs"},
                   {"GFLOP/s"},
                   {"of peak"},
                   {"in and out MiB"},
                   {"workspace MiB"},
                   {"measured MiB"}});
  for (const Length& item : lengths) {
    const Spread ms = spread_of(item.ms);
    table.add(
        {std::to_string(item.length), fmt::format("{:.3f}", ms.median),
         fmt::format("{:.3f}", ms.lowest), fmt::format("{:.3f}", ms.highest),
         std::to_string(item.ms.size()), fmt::format("{:.1f}", item.flops() / ms.median / 1e6),
         fmt::format("{:.1f} %", 100 * spread_of(item.of_peak).median), mib(item.tensor_bytes),
         mib(item.workspace_bytes), item.peak_bytes ? mib(*item.peak_bytes) : "-"});
  }
  return table.text();
}

// As bench/run.py writes its rows.
nlohmann::json rows_of(const std::vector<Length>& lengths, int threads) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Length& item : lengths) {
    const Spread ms = spread_of(item.ms);
    nlohmann::json extra = {{"ms_lowest", ms.lowest},
                            {"ms_highest", ms.highest},
                            {"runs", item.ms.size()},
                            {"gflops", item.flops() / ms.median / 1e6},
                            {"tensor_bytes", item.tensor_bytes},
                            {"workspace_bytes", item.workspace_bytes},
                            {"peak_bytes", nullptr},
                            {"threads", threads},
                            {"machine", machine_text()},
                            {"fovea", FOVEA_VERSION_STRING}};
    if (item.peak_bytes) extra["peak_bytes"] = *item.peak_bytes;
    rows.push_back({{"bench", "chunked"},
                    {"case", fmt::format("chunked forward fp32 B1H1L{}D{}", item.length, kHeadDim)},
                    {"peer", nullptr},
                    {"ours_ms", ms.median},
                    {"peer_ms", nullptr},
                    {"ratio", nullptr},
                    {"of_peak", spread_of(item.of_peak).median},
                    {"extra", std::move(extra)}});
  }
  return rows;
}

Image plot_of(const std::vector<Length>& lengths) {
  constexpr Colour kBlue{38, 92, 160}, kGrey{140, 140, 140}, kGreen{60, 140, 80}, kRed{190, 70, 50};
  Series time{"chunked_attention, forward", kBlue, {}};
  Series tensors{"query, key, value and out", kGrey, {}};
  Series workspace{"workspace", kGreen, {}};
  Series measured{"measured beyond the tensors", kRed, {}};
  const auto add = [](Series& series, const Length& item, double y) {
    series.points.push_back({static_cast<double>(item.length), y});
  };
  for (const Length& item : lengths) {
    add(time, item, spread_of(item.ms).median);
    const auto megabytes = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    add(tensors, item, megabytes(item.tensor_bytes));
    add(workspace, item, megabytes(item.workspace_bytes));
    if (item.peak_bytes) add(measured, item, megabytes(*item.peak_bytes));
  }
  constexpr int64_t kWidth = 800, kHeight = 520;
  Image image(2 * kWidth, kHeight, {255, 255, 255});
  draw(image, {"milliseconds", "length", {time}}, 0, 0, kWidth, kHeight);
  draw(image, {"mib", "length", {tensors, workspace, measured}}, kWidth, 0, kWidth, kHeight);
  return image;
}

}  // namespace

int bench_chunked(const BenchOptions& options) {
  const auto pool = options.threads > 0 ? make_thread_pool(options.threads) : nullptr;
  Executor& executor = pool ? *pool : default_executor();
  std::vector<int64_t> all;
  const int64_t longest = options.to_a_million ? kLongestOfAll : kLongest;
  for (int64_t length = kShortest; length <= longest; length *= 2) all.push_back(length);
  std::vector<Length> lengths;
  {
    Progress progress(static_cast<int64_t>(all.size()));
    for (const int64_t length : all) {
      progress.step(fmt::format("length {}", length));
      lengths.push_back(measure(length, options.repeats, executor));
    }
  }
  fmt::print("fovea {}: {}, {} threads\nchunked_attention, float32, batch 1, 1 head, D = {}\n\n",
             FOVEA_VERSION_STRING, machine_text(), executor.num_threads(), kHeadDim);
  fmt::print("{}", table_of(lengths));
  if (!options.json.empty()) {
    write_text(options.json, rows_of(lengths, executor.num_threads()).dump(1) + "\n");
  }
  if (!options.png.empty()) write_png(plot_of(lengths), options.png);
  return 0;
}

}  // namespace fovea::cli
