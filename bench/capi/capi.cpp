// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fovea/fovea.h>
#include "common.h"

using fovea_capi::copy_text;
using fovea_capi::guarded;
using fovea_capi::has_tensor;
using fovea_capi::require;
using fovea_capi::to_view;

namespace {

// A call in C++ terms.
struct Call {
  explicit Call(const fovea_capi_call& call)
      : query(to_view(call.query)),
        key(to_view(call.key)),
        value(to_view(call.value)),
        out(to_view(call.out)) {
    if (call.score_mod) options.score_mod = call.score_mod->value;
    if (call.block_mask) options.block_mask = call.block_mask->value;
    if (call.executor) options.executor = call.executor->value.get();
    if (!std::isnan(call.scale)) options.scale = call.scale;
    if (has_tensor(call.lse)) options.lse = to_view(call.lse);
    options.workspace = {call.workspace, call.workspace_bytes};
    if (call.backend) options.backend = call.backend;
  }
  void run() const { fovea::flex_attention(query, key, value, out, options); }

  fovea::TensorView query, key, value, out;
  fovea::FlexOptions options;
};

// T5 relative position buckets (bidirectional, 32 buckets, distance 128). log(n + 0.01) keeps the
// bucket of n = 16, 32, 64 apart from the rounding of any one logarithm.
fovea::Value t5_bucket(const fovea::Value& distance) {
  const fovea::Value n = fovea::abs(distance);
  const fovea::Value scaled =
      fovea::log((fovea::to_float(n) + 0.01) * 0.125) * (8.0 / std::log(16.0));
  const fovea::Value large = fovea::min(8 + fovea::to_int(scaled), 15);
  return fovea::where(n < 8, n, large) + fovea::where(distance > 0, 16, 0);
}

fovea::Program trace_example(int64_t divisor, const fovea::TensorView& table_view,
                             const fovea::TensorView& slopes_view) {
  const fovea::Capture table(table_view);
  const fovea::Capture slopes(slopes_view);
  return fovea::score_mod([&](auto score, auto, auto h, auto q, auto kv) {
    const auto biased = score + table(t5_bucket(kv - q), h) - slopes[h] * ((q - kv) / divisor);
    return 30.0 * fovea::tanh(biased / 30.0);
  });
}

}  // namespace

extern "C" {

int fovea_capi_parse(const char* text, const fovea_capi_tensor* captures, int32_t count,
                     fovea_capi_program** program) {
  return guarded([&] {
    require(text && program && count >= 0 && (captures || count == 0),
            "[fovea_capi_parse] arguments: expected text, captures and a place for the handle");
    std::vector<fovea::TensorView> views;
    views.reserve(static_cast<std::size_t>(count));
    for (int32_t i = 0; i < count; ++i) views.push_back(to_view(captures[i]));
    *program = new fovea_capi_program{fovea::parse_program(text, views)};
  });
}

int fovea_capi_trace_example(int64_t divisor, const fovea_capi_tensor* table,
                             const fovea_capi_tensor* slopes, fovea_capi_program** program) {
  return guarded([&] {
    require(table && slopes && program && divisor > 0,
            "[fovea_capi_trace_example] arguments: expected a positive divisor and two tensors");
    *program = new fovea_capi_program{trace_example(divisor, to_view(*table), to_view(*slopes))};
  });
}

int fovea_capi_program_text(const fovea_capi_program* program, char* buffer, size_t capacity,
                            size_t* needed) {
  return guarded([&] { copy_text(program->value.to_string(), buffer, capacity, needed); });
}

void fovea_capi_program_free(fovea_capi_program* program) { delete program; }

int fovea_capi_executor_create(int32_t threads, fovea_capi_executor** executor) {
  return guarded([&] { *executor = new fovea_capi_executor{fovea::make_thread_pool(threads)}; });
}

void fovea_capi_executor_free(fovea_capi_executor* executor) { delete executor; }

int fovea_capi_default_threads(int32_t* threads) {
  return guarded([&] { *threads = fovea::default_executor().num_threads(); });
}

int fovea_capi_flex_attention(const fovea_capi_call* call) {
  return guarded([&] { Call(*call).run(); });
}

int fovea_capi_chunked_attention(const fovea_capi_call* call, int64_t query_chunk,
                                 int64_t key_chunk) {
  return guarded([&] {
    const Call in(*call);
    const fovea::FlexOptions& from = in.options;
    fovea::ChunkedOptions options;
    options.scale = from.scale;
    options.lse = from.lse;
    options.query_chunk = query_chunk;
    options.key_chunk = key_chunk;
    options.workspace = from.workspace;
    options.executor = from.executor;
    options.backend = from.backend;
    fovea::chunked_attention(in.query, in.key, in.value, in.out, options);
  });
}

int fovea_capi_workspace_bytes(const fovea_capi_call* call, size_t* bytes) {
  return guarded([&] {
    const Call in(*call);
    *bytes = fovea::workspace_bytes(in.query, in.key, in.value, in.out, in.options);
  });
}

int fovea_capi_prepare(const fovea_capi_call* call) {
  return guarded([&] {
    const Call in(*call);
    fovea::prepare(in.query, in.key, in.value, in.out, in.options);
  });
}

int fovea_capi_explain(const fovea_capi_call* call, char* buffer, size_t capacity, size_t* needed) {
  return guarded([&] {
    const Call in(*call);
    copy_text(fovea::explain(in.query, in.key, in.value, in.out, in.options), buffer, capacity,
              needed);
  });
}

int fovea_capi_reference(const fovea_capi_call* call) {
  return guarded([&] {
    const Call in(*call);
    fovea::reference_attention(in.query, in.key, in.value, in.out, in.options);
  });
}

int fovea_capi_reference_row(const fovea_capi_call* call, int64_t b, int64_t h, int64_t q,
                             double* out, double* lse) {
  return guarded([&] {
    const Call in(*call);
    const auto value_dim = static_cast<std::size_t>(in.value.size(3));
    *lse = fovea::reference_row(in.query, in.key, in.value, in.options, b, h, q,
                                std::span(out, value_dim));
  });
}

int fovea_capi_repeat(const fovea_capi_call* call, int64_t count, double* nanoseconds) {
  return guarded([&] {
    require(count > 0, "[fovea_capi_repeat] count: expected at least 1, got less");
    const Call in(*call);
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < count; ++i) in.run();
    const auto stop = std::chrono::steady_clock::now();
    *nanoseconds =
        std::chrono::duration<double, std::nano>(stop - start).count() / static_cast<double>(count);
  });
}

int fovea_capi_measure_fma_peak(int32_t threads, double* flops) {
  return guarded([&] { *flops = fovea::measure_fma_peak(threads); });
}

int fovea_capi_backends(char* buffer, size_t capacity, size_t* needed) {
  return guarded([&] {
    std::string text;
    for (const fovea::BackendInfo& info : fovea::backends()) {
      text += info.name + (info.available ? " available: " : " not available: ") + info.detail;
      text += '\n';
    }
    copy_text(text, buffer, capacity, needed);
  });
}

}  // extern "C"
