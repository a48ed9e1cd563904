// SPDX-License-Identifier: Apache-2.0
#include "attention/reference.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <fovea/error.h>
#include "attention/mask_row.h"
#include "core/fail.h"
#include "program/interpret.h"

/// The dense float64 reference. It shares nothing with the kernels: no blocks, no tiles, no bounds, one
/// element at a time through the scalar interpreter.
namespace fovea::attention {
namespace {

constexpr double kMasked = -std::numeric_limits<double>::infinity();

double load(const TensorView& view, int64_t b, int64_t h, int64_t i, int64_t d) {
  const int64_t at =
      b * view.stride(0) + h * view.stride(1) + i * view.stride(2) + d * view.stride(3);
  switch (view.dtype) {
    case DType::f64: return static_cast<const double*>(view.data)[at];
    case DType::f32: return static_cast<double>(static_cast<const float*>(view.data)[at]);
    case DType::bf16:
      return static_cast<double>(static_cast<float>(static_cast<const BFloat16*>(view.data)[at]));
    case DType::f16:
      return static_cast<double>(static_cast<float>(static_cast<const Float16*>(view.data)[at]));
    case DType::i64:
    case DType::i32:
    case DType::i16:
    case DType::i8:
    case DType::u8:
    case DType::boolean: break;
  }
  throw InternalError("[reference] not a floating-point tensor");
}

void store(void* data, DType dtype, int64_t at, double x) {
  switch (dtype) {
    case DType::f64: static_cast<double*>(data)[at] = x; return;
    case DType::f32: static_cast<float*>(data)[at] = static_cast<float>(x); return;
    case DType::bf16: static_cast<BFloat16*>(data)[at] = BFloat16(static_cast<float>(x)); return;
    case DType::f16: static_cast<Float16*>(data)[at] = Float16(static_cast<float>(x)); return;
    case DType::i64:
    case DType::i32:
    case DType::i16:
    case DType::i8:
    case DType::u8:
    case DType::boolean: break;
  }
  throw InternalError("[reference] not a floating-point tensor");
}

/// The score after score_mod and mask; -inf where masked.
double masked_score(const Problem& p, const MaskRow& mask, const program::Inputs& at, double dot) {
  if (!mask.allows(at)) return kMasked;
  program::Inputs inputs = at;
  inputs.score = dot * p.scale;
  return p.score_mod ? program::interpret(p.score_mod, inputs).f : inputs.score;
}

double modified_weight(const Problem& p, const program::Inputs& at) {
  return p.weight_mod ? program::interpret(p.weight_mod, at).f : at.score;
}

std::vector<double> scores_of(const Problem& p, int64_t b, int64_t h, int64_t q) {
  std::vector<double> scores(static_cast<std::size_t>(p.kv_len));
  const MaskRow mask(p.block_mask, p.mask_mod, b, h, q);
  for (int64_t kv = 0; kv < p.kv_len; ++kv) {
    double dot = 0;
    for (int64_t d = 0; d < p.head_dim; ++d) {
      dot += load(p.query, b, h, q, d) * load(p.key, b, h / p.group(), kv, d);
    }
    scores[static_cast<std::size_t>(kv)] =
        masked_score(p, mask, {.b = b, .h = h, .q = q, .kv = kv}, dot);
  }
  return scores;
}

}  // namespace

double reference_row(const Problem& p, int64_t b, int64_t h, int64_t q, std::span<double> out) {
  const std::vector<double> scores = scores_of(p, b, h, q);
  double largest = kMasked;
  for (const double s : scores) largest = std::isnan(s) || s > largest ? s : largest;
  std::fill(out.begin(), out.end(), 0.0);
  if (largest == kMasked) return kMasked;
  double sum = 0;
  for (const double s : scores) {
    if (s == kMasked) continue;  // a masked position contributes nothing, not even 0 * NaN
    sum += std::exp(s - largest);
  }
  for (int64_t kv = 0; kv < p.kv_len; ++kv) {
    const double s = scores[static_cast<std::size_t>(kv)];
    if (s == kMasked) continue;
    const double weight = modified_weight(
        p, {.score = std::exp(s - largest) / sum, .b = b, .h = h, .q = q, .kv = kv});
    for (std::size_t d = 0; d < out.size(); ++d) {
      out[d] += weight * load(p.value, b, h / p.group(), kv, static_cast<int64_t>(d));
    }
  }
  return largest + std::log(sum);
}

void reference(const Problem& p, Executor& executor) {
  const int64_t rows = p.batch * p.q_heads * p.q_len;
  executor.parallel(rows, [&](int64_t row, int) {
    const int64_t q = row % p.q_len;
    const int64_t h = row / p.q_len % p.q_heads;
    const int64_t b = row / p.q_len / p.q_heads;
    std::vector<double> out(static_cast<std::size_t>(p.value_dim));
    const double lse = reference_row(p, b, h, q, out);
    const int64_t at = b * p.out.stride(0) + h * p.out.stride(1) + q * p.out.stride(2);
    for (int64_t d = 0; d < p.value_dim; ++d) {
      store(p.out.data, p.out.dtype, at + d * p.out.stride(3), out[static_cast<std::size_t>(d)]);
    }
    if (p.lse) {
      const TensorView& view = *p.lse;
      store(view.data, view.dtype, b * view.stride(0) + h * view.stride(1) + q * view.stride(2),
            lse);
    }
  });
}

}  // namespace fovea::attention
