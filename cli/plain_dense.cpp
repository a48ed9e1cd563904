// SPDX-License-Identifier: Apache-2.0
#include "plain_dense.h"

#include <algorithm>
#include <cmath>

namespace fovea::cli {
namespace {

// The one loop that matters. Compilers vectorise it as it stands; it is built a second time for
// AVX2, since a comparison with SSE2 code would flatter us.
__attribute__((always_inline)) inline void add_scaled_body(float* __restrict out,
                                                           const float* __restrict in, float factor,
                                                           int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] += factor * in[i];
}

void add_scaled_baseline(float* out, const float* in, float factor, int64_t count) {
  add_scaled_body(out, in, factor, count);
}

using AddScaled = void (*)(float*, const float*, float, int64_t);

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void add_scaled_avx2(float* out, const float* in, float factor,
                                                         int64_t count) {
  add_scaled_body(out, in, factor, count);
}

AddScaled choose_add_scaled() {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return avx2 ? add_scaled_avx2 : add_scaled_baseline;
}
#else
AddScaled choose_add_scaled() { return add_scaled_baseline; }
#endif

// Keys as (head_dim, length), so that the loop over keys runs along memory.
std::vector<float> transposed(const float* keys, int64_t length, int64_t head_dim) {
  std::vector<float> result(static_cast<std::size_t>(length * head_dim));
  for (int64_t d = 0; d < head_dim; ++d) {
    float* to = result.data() + d * length;
    for (int64_t kv = 0; kv < length; ++kv) to[kv] = keys[kv * head_dim + d];
  }
  return result;
}

void row_weights(const PlainProblem& problem, const RowMod& mod, const float* keys, int64_t h,
                 int64_t q, AddScaled add_scaled, std::span<float> weights) {
  const int64_t head_dim = problem.head_dim;
  const float* query = problem.query + (h * problem.length + q) * head_dim;
  const float scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  std::fill(weights.begin(), weights.end(), 0.0F);
  for (int64_t d = 0; d < head_dim; ++d) {
    add_scaled(weights.data(), keys + d * problem.length, query[d] * scale, problem.length);
  }
  mod(weights, {.b = 0, .h = h, .q = q});
  const float highest = *std::max_element(weights.begin(), weights.end());
  if (highest == -std::numeric_limits<float>::infinity()) {
    std::fill(weights.begin(), weights.end(), 0.0F);
    return;
  }
  double sum = 0;
  for (float& weight : weights) sum += static_cast<double>(weight = std::exp(weight - highest));
  const auto factor = static_cast<float>(1 / sum);
  for (float& weight : weights) weight *= factor;
}

}  // namespace

void plain_dense(const PlainProblem& problem, const RowMod& mod, float* out, Executor& executor) {
  const AddScaled add_scaled = choose_add_scaled();
  const int64_t length = problem.length;
  const int64_t head_dim = problem.head_dim;
  std::vector<std::vector<float>> keys(static_cast<std::size_t>(problem.heads));
  executor.parallel(problem.heads, [&](int64_t h, int) {
    keys[static_cast<std::size_t>(h)] =
        transposed(problem.key + h * length * head_dim, length, head_dim);
  });
  std::vector<std::vector<float>> scratch(static_cast<std::size_t>(executor.num_threads()));
  constexpr int64_t kRows = 32;  // of one head, by one worker
  const int64_t groups = (length + kRows - 1) / kRows;
  executor.parallel(problem.heads * groups, [&](int64_t task, int worker) {
    const int64_t h = task / groups;
    const int64_t first = task % groups * kRows;
    auto& weights = scratch[static_cast<std::size_t>(worker)];
    weights.resize(static_cast<std::size_t>(length));
    const float* values = problem.value + h * length * head_dim;
    for (int64_t q = first; q < std::min(first + kRows, length); ++q) {
      row_weights(problem, mod, keys[static_cast<std::size_t>(h)].data(), h, q, add_scaled,
                  weights);
      float* row = out + (h * length + q) * head_dim;
      std::fill(row, row + head_dim, 0.0F);
      for (int64_t kv = 0; kv < length; ++kv) {
        add_scaled(row, values + kv * head_dim, weights[static_cast<std::size_t>(kv)], head_dim);
      }
    }
  });
}

std::vector<float> plain_weights(const PlainProblem& problem, const RowMod& mod, int64_t h,
                                 int64_t first, int64_t count) {
  const int64_t length = problem.length;
  const auto keys =
      transposed(problem.key + h * length * problem.head_dim, length, problem.head_dim);
  std::vector<float> weights(static_cast<std::size_t>(count * length));
  for (int64_t i = 0; i < count; ++i) {
    const std::span<float> row(weights.data() + i * length, static_cast<std::size_t>(length));
    row_weights(problem, mod, keys.data(), h, first + i, choose_add_scaled(), row);
  }
  return weights;
}

}  // namespace fovea::cli
