// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include <fovea/random.h>
#include "demo.h"
#include "mask_cells.h"
#include "program_lines.h"
#include "usage_error.h"

namespace fovea::cli {
namespace {

constexpr std::align_val_t kAlignment{64};

class Scratch {
 public:
  explicit Scratch(std::size_t bytes)
      : memory_(bytes == 0 ? nullptr : ::operator new(bytes, kAlignment)), bytes_(bytes) {}
  ~Scratch() { ::operator delete(memory_, kAlignment); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Workspace workspace() const { return {memory_, bytes_}; }

 private:
  void* memory_;
  std::size_t bytes_;
};

// A NaN is worse than anything, and stays.
double worse(double worst, double difference) {
  return std::isnan(worst) || difference <= worst ? worst : difference;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = worse(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return worst;
}

// The first row, the last one, and others at random.
std::vector<int64_t> sampled_rows(int64_t length) {
  std::set<int64_t> rows{0, length - 1};
  const auto wanted = static_cast<std::size_t>(std::min(kSampledRows, length));
  for (uint64_t i = 0; rows.size() < wanted; ++i) rows.insert(Random(31).below(i, length));
  return {rows.begin(), rows.end()};
}

double reference_error(DemoSetting& setting, const FlexOptions& options) {
  const AttentionData& data = setting.data;
  const int64_t head_dim = setting.options.head_dim;
  const auto rows = sampled_rows(setting.options.length);
  const auto count = static_cast<int64_t>(rows.size());
  std::vector<double> errors(static_cast<std::size_t>(setting.options.heads * count));
  setting.executor().parallel(setting.options.heads * count, [&](int64_t task, int) {
    const int64_t h = task / count;
    const int64_t q = rows[static_cast<std::size_t>(task % count)];
    std::vector<double> expected(static_cast<std::size_t>(head_dim));
    reference_row(data.query(), data.key(), data.value(), options, 0, h, q, expected);
    const float* row = data.result().data() + (h * setting.options.length + q) * head_dim;
    double& worst = errors[static_cast<std::size_t>(task)];
    for (std::size_t d = 0; d < expected.size(); ++d) {
      worst = worse(worst, std::abs(static_cast<double>(row[d]) - expected[d]));
    }
  });
  return std::accumulate(errors.begin(), errors.end(), 0.0, worse);
}

// At least five runs, and until half a second has gone by; the first is not counted.
Spread measure(const std::function<void()>& run) {
  run();
  std::vector<double> samples;
  const Stopwatch watch;
  while (samples.size() < 5 || (watch.milliseconds() < 500 && samples.size() < 200)) {
    samples.push_back(milliseconds_of(run));
  }
  return spread_of(std::move(samples));
}

void count_blocks(DemoRow& row, int64_t length) {
  const BlockSize block;
  if (row.mask) {
    row.blocks = row.mask.counts();
  } else {
    row.blocks.full = ((length + block.q - 1) / block.q) * ((length + block.kv - 1) / block.kv);
  }
}

double flops_of(const DemoRow& row, const DemoOptions& options) {
  double scores = static_cast<double>(options.length) * static_cast<double>(options.length);
  if (row.mask) {
    scores = static_cast<double>(computed_scores(row.mask)) /
             static_cast<double>(row.mask.batch() * row.mask.heads());
  }
  return 4.0 * static_cast<double>(options.head_dim * options.heads) * scores;
}

void describe_programs(DemoRow& row, const std::string& explained) {
  if (row.variant.score_mod) {
    row.score_line = one_line(row.variant.score_mod);
    row.score_classes = shape_classes(explained, "score_mod");
  }
  if (row.variant.mask_mod) {
    row.mask_line = one_line(row.variant.mask_mod);
    row.mask_classes = shape_classes(explained, "mask_mod");
  }
}

}  // namespace

DemoSetting prepare_demo(const DemoOptions& options) {
  const auto folder =
      options.text.empty() ? default_text_folder() : std::filesystem::path(options.text);
  TextInput text = read_text_input(folder, options.length);
  AttentionData data = AttentionData::embed(text.tokens, options.heads, options.head_dim);
  auto pool = options.threads > 0 ? make_thread_pool(options.threads) : nullptr;
  // A weighted mean of values is off by about twice the error of the scores, times the values;
  // a score is a sum of head_dim products in float32.
  const double allowed = std::ldexp(1.0, -24) * static_cast<double>(options.head_dim + 32) *
                         static_cast<double>(data.largest_value());
  return {options, std::move(text), std::move(data), std::move(pool), allowed};
}

Variant make_demo_variant(const DemoSetting& setting, const std::string& name) {
  const DemoOptions& options = setting.options;
  return make_variant(name, {options.length, options.length, options.heads, setting.text.ids, {}});
}

DemoRow run_demo_row(DemoSetting& setting, Variant variant,
                     const std::function<void(const std::string&)>& report) {
  const DemoOptions& shape = setting.options;
  AttentionData& data = setting.data;
  DemoRow row;
  row.variant = std::move(variant);
  const std::string& name = row.variant.name;
  report(name + ": block mask");
  FlexOptions options;
  options.score_mod = row.variant.score_mod;
  options.executor = &setting.executor();
  if (row.variant.mask_mod) {
    row.mask_ms = milliseconds_of([&] {
      row.mask =
          create_block_mask(row.variant.mask_mod, {shape.length, shape.length, 1, shape.heads, {}});
    });
    options.block_mask = row.mask;
  }
  count_blocks(row, shape.length);
  const TensorView query = data.query(), key = data.key(), value = data.value(), out = data.out();
  describe_programs(row, explain(query, key, value, out, options));

  report(name + ": fused");
  data.fill_result(std::numeric_limits<float>::quiet_NaN());
  const Scratch scratch(workspace_bytes(query, key, value, out, options));
  options.workspace = scratch.workspace();
  const double before = measure_fma_peak(setting.executor().num_threads());
  row.ms = measure([&] { flex_attention(query, key, value, out, options); });
  row.peak_gflops = (before + measure_fma_peak(setting.executor().num_threads())) / 2e9;
  row.gflops = flops_of(row, shape) / row.ms.median / 1e6;

  report(name + ": float64 reference");
  row.error = reference_error(setting, options);

  report(name + ": plain dense");
  std::vector<float> plain(data.result().size());
  row.plain_ms = milliseconds_of(
      [&] { plain_dense(data.plain(), row.variant.plain, plain.data(), setting.executor()); });
  row.plain_error = largest_difference(data.result(), plain);
  // Both are off by as much as one may be.
  row.right = row.error <= setting.allowed_error && row.plain_error <= 2 * setting.allowed_error;
  return row;
}

}  // namespace fovea::cli
