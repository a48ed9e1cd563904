// SPDX-License-Identifier: Apache-2.0
#include "attention/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "attention/element_access.h"
#include "attention/mask_row.h"
#include "program/interpret.h"

namespace fovea::attention {
namespace {

constexpr double kMasked = -std::numeric_limits<double>::infinity();

double dot_product(const Problem& p, int64_t query_at, int64_t key_at) {
  double dot = 0;
  for (int64_t d = 0; d < p.head_dim; ++d) {
    dot += load_element(p.query, query_at + d * p.query.stride(3)) *
           load_element(p.key, key_at + d * p.key.stride(3));
  }
  return dot;
}

double modified_weight(const Problem& p, const program::Inputs& at) {
  return p.weight_mod ? program::interpret(p.weight_mod, at).f : at.score;
}

// out, and returns the scores that it came from.
ReferenceRow run_row(const Problem& p, int64_t b, int64_t h, int64_t q, std::span<double> out) {
  ReferenceRow row = reference_scores(p, b, h, q);
  std::fill(out.begin(), out.end(), 0.0);
  for (std::size_t kv = 0; kv < row.scores.size(); ++kv) {
    if (row.scores[kv] == kMasked) continue;  // contributes nothing, not even 0 * NaN
    const auto position = static_cast<int64_t>(kv);
    const double weight = modified_weight(
        p, {.score = row.weight(row.scores[kv]), .b = b, .h = h, .q = q, .kv = position});
    const int64_t at = key_row(p, p.value, b, h / p.group(), position);
    for (std::size_t d = 0; d < out.size(); ++d) {
      out[d] += weight * load_element(p.value, at + static_cast<int64_t>(d) * p.value.stride(3));
    }
  }
  return row;
}

}  // namespace

ReferenceRow reference_scores(const Problem& p, int64_t b, int64_t h, int64_t q) {
  const auto count = static_cast<std::size_t>(p.sequence(b).kv_len);
  ReferenceRow row{std::vector<double>(count), std::vector<double>(count, kMasked), kMasked};
  const MaskRow mask(p.block_mask, p.mask_mod, b, h, q);
  const int64_t query_at = query_row(p, p.query, b, h, q);
  for (std::size_t kv = 0; kv < count; ++kv) {
    program::Inputs inputs{.b = b, .h = h, .q = q, .kv = static_cast<int64_t>(kv)};
    if (!mask.allows(inputs)) continue;
    inputs.score =
        p.scale * dot_product(p, query_at, key_row(p, p.key, b, h / p.group(), inputs.kv));
    const double score = p.score_mod ? program::interpret(p.score_mod, inputs).f : inputs.score;
    row.dots[kv] = inputs.score;
    row.scores[kv] = score;
    if (std::isnan(score) || score > row.largest) row.largest = score;
  }
  row.sink = p.sinks ? load_element(*p.sinks, h * p.sinks->stride(0)) : kMasked;
  row.shift = std::isnan(row.sink) || row.sink > row.largest ? row.sink : row.largest;
  if (row.shift == kMasked) return row;
  row.sum = row.sink == kMasked ? 0 : std::exp(row.sink - row.shift);
  for (const double score : row.scores) {
    if (score != kMasked) row.sum += std::exp(score - row.shift);
  }
  return row;
}

double reference_row(const Problem& p, int64_t b, int64_t h, int64_t q, std::span<double> out) {
  return run_row(p, b, h, q, out).lse();
}

void reference(const Problem& p, Executor& executor) {
  const int64_t rows = p.batch * p.q_heads * p.q_len;
  executor.parallel(rows, [&](int64_t task, int) {
    const int64_t q = task % p.q_len;
    const int64_t h = task / p.q_len % p.q_heads;
    const int64_t b = task / p.q_len / p.q_heads;
    if (q >= p.sequence(b).q_len) return;
    std::vector<double> out(static_cast<std::size_t>(p.value_dim));
    const ReferenceRow row = run_row(p, b, h, q, out);
    const int64_t at = query_row(p, p.out, b, h, q);
    for (std::size_t d = 0; d < out.size(); ++d) {
      store_element(p.out, at + static_cast<int64_t>(d) * p.out.stride(3), out[d]);
    }
    if (p.lse) store_element(*p.lse, query_row(p, *p.lse, b, h, q), row.lse());
    if (p.max_scores) {
      store_element(*p.max_scores, query_row(p, *p.max_scores, b, h, q), row.largest);
    }
  });
}

}  // namespace fovea::attention
