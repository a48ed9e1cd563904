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

struct Pass {
  const char* name = "";
  double flops = 0;
  std::vector<double> ms, of_peak;
  int64_t tensor_bytes = 0;  // inputs and outputs
  int64_t workspace_bytes = 0;
  std::optional<int64_t> peak_bytes;  // measured, beyond the tensors
};

struct Length {
  int64_t length = 0;
  Pass forward, backward;
};

template <class F>
void measure(Pass& pass, int repeats, Executor& executor, F&& run) {
  // The run whose memory is measured warms up, unless it takes so long that it does not matter.
  double first = 0;
  pass.peak_bytes = peak_memory_of([&] { first = milliseconds_of(run); });
  const int calls = std::max(1, static_cast<int>(kSample / first));
  double spent = 0;
  const auto record = [&](double ms) {
    spent += ms * calls;
    pass.ms.push_back(ms);
    const double peak = measure_fma_peak(executor.num_threads());
    pass.of_peak.push_back(pass.flops / ms * 1e3 / peak);
  };
  if (first > kBudget) record(first);
  while (static_cast<int>(pass.ms.size()) < repeats && spent < kBudget) {
    if (calls > 1) run();  // the threads have gone to sleep
    const double ms = milliseconds_of([&] {
      for (int i = 0; i < calls; ++i) run();
    });
    record(ms / calls);
  }
}

Length measure(int64_t length, int repeats, Executor& executor) {
  AttentionData data = AttentionData::random(1, length, kHeadDim);
  const Dims sizes{1, 1, length, kHeadDim};
  std::vector<float> dout(static_cast<std::size_t>(length * kHeadDim), 0.5F), dquery(dout.size()),
      dkey(dout.size()), dvalue(dout.size()), lse(static_cast<std::size_t>(length));
  ChunkedOptions options;
  options.executor = &executor;
  options.lse = view(lse.data(), {1, 1, length});
  const BackwardInputs saved{data.out(), *options.lse, view(dout.data(), sizes), {}};
  const ChunkedGradients gradients{
      view(dquery.data(), sizes), view(dkey.data(), sizes), view(dvalue.data(), sizes), {}};
  const double area = static_cast<double>(length) * static_cast<double>(length) * kHeadDim;
  const int64_t tensor = length * kHeadDim * static_cast<int64_t>(sizeof(float));
  data.fill_result(0);  // its pages are there now

  Length result;
  result.length = length;
  Pass& forward = result.forward;
  forward.name = "forward";
  forward.flops = 4 * area;
  forward.tensor_bytes = 4 * tensor;
  forward.workspace_bytes = static_cast<int64_t>(
      chunked_workspace_bytes(data.query(), data.key(), data.value(), data.out(), options));
  measure(forward, repeats, executor,
          [&] { chunked_attention(data.query(), data.key(), data.value(), data.out(), options); });
  Pass& backward = result.backward;
  backward.name = "backward";
  backward.flops = 10 * area;
  backward.tensor_bytes = 8 * tensor;
  backward.workspace_bytes = static_cast<int64_t>(chunked_backward_workspace_bytes(
      data.query(), data.key(), data.value(), saved, gradients, options));
  measure(backward, repeats, executor, [&] {
    chunked_attention_backward(data.query(), data.key(), data.value(), saved, gradients, options);
  });
  return result;
}

double mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

std::string table_of(const std::vector<Length>& lengths) {
  TextTable table({{"length"},
                   {"pass"},
                   {"ms"},
                   {"lowest"},
                   {"highest"},
                   {"runs"},
                   {"GFLOP/s"},
                   {"of peak"},
                   {"in and out MiB"},
                   {"workspace MiB"},
                   {"measured MiB"}});
  for (const Length& item : lengths) {
    for (const Pass* pass : {&item.forward, &item.backward}) {
      const Spread ms = spread_of(pass->ms);
      table.add({std::to_string(item.length), pass->name, fmt::format("{:.3f}", ms.median),
                 fmt::format("{:.3f}", ms.lowest), fmt::format("{:.3f}", ms.highest),
                 std::to_string(pass->ms.size()),
                 fmt::format("{:.1f}", pass->flops / ms.median / 1e6),
                 fmt::format("{:.1f} %", 100 * spread_of(pass->of_peak).median),
                 fmt::format("{:.2f}", mib(pass->tensor_bytes)),
                 fmt::format("{:.2f}", mib(pass->workspace_bytes)),
                 pass->peak_bytes ? fmt::format("{:.2f}", mib(*pass->peak_bytes)) : "-"});
    }
  }
  return table.text();
}

// As bench/run.py writes its rows.
nlohmann::json row_of(int64_t length, const Pass& pass, int threads) {
  const Spread ms = spread_of(pass.ms);
  nlohmann::json extra = {{"ms_lowest", ms.lowest},
                          {"ms_highest", ms.highest},
                          {"runs", pass.ms.size()},
                          {"gflops", pass.flops / ms.median / 1e6},
                          {"tensor_bytes", pass.tensor_bytes},
                          {"workspace_bytes", pass.workspace_bytes},
                          {"peak_bytes", nullptr},
                          {"threads", threads},
                          {"machine", machine_text()},
                          {"fovea", FOVEA_VERSION_STRING}};
  if (pass.peak_bytes) extra["peak_bytes"] = *pass.peak_bytes;
  return {{"bench", "chunked"},
          {"case", fmt::format("chunked {} fp32 B1H1L{}D{}", pass.name, length, kHeadDim)},
          {"peer", nullptr},
          {"ours_ms", ms.median},
          {"peer_ms", nullptr},
          {"ratio", nullptr},
          {"of_peak", spread_of(pass.of_peak).median},
          {"extra", std::move(extra)}};
}

nlohmann::json rows_of(const std::vector<Length>& lengths, int threads) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Length& item : lengths) {
    for (const Pass* pass : {&item.forward, &item.backward}) {
      rows.push_back(row_of(item.length, *pass, threads));
    }
  }
  return rows;
}

Image plot_of(const std::vector<Length>& lengths) {
  constexpr Colour kBlue{38, 92, 160}, kRed{190, 70, 50}, kGrey{140, 140, 140};
  LogPlot time{"milliseconds", "length", {{"forward", kBlue, {}}, {"backward", kRed, {}}}};
  LogPlot memory{"mib",
                 "length",
                 {{"query, key, value and out", kGrey, {}},
                  {"forward: beyond inputs and outputs", kBlue, {}},
                  {"backward: beyond inputs and outputs", kRed, {}}}};
  for (const Length& item : lengths) {
    const auto add = [&](Series& series, double y) {
      series.points.push_back({static_cast<double>(item.length), y});
    };
    add(time.series[0], spread_of(item.forward.ms).median);
    add(time.series[1], spread_of(item.backward.ms).median);
    add(memory.series[0], mib(item.forward.tensor_bytes));
    add(memory.series[1], mib(item.forward.workspace_bytes));
    add(memory.series[2], mib(item.backward.workspace_bytes));
  }
  constexpr int64_t kWidth = 800, kHeight = 520;
  Image image(2 * kWidth, kHeight, {255, 255, 255});
  draw(image, time, 0, 0, kWidth, kHeight);
  draw(image, memory, kWidth, 0, kWidth, kHeight);
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
  fmt::print("fovea {}: {}, {} threads\n", FOVEA_VERSION_STRING, machine_text(),
             executor.num_threads());
  fmt::print(
      "chunked_attention, float32, batch 1, 1 head, D = {}; beyond inputs and outputs:\n"
      "workspace, and how much the resident memory rose\n\n",
      kHeadDim);
  fmt::print("{}", table_of(lengths));
  if (!options.json.empty()) {
    write_text(options.json, rows_of(lengths, executor.num_threads()).dump(1) + "\n");
  }
  if (!options.png.empty()) write_png(plot_of(lengths), options.png);
  return 0;
}

}  // namespace fovea::cli
