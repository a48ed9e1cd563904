// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward_padding.h"

#include <cstring>

#include "attention/element_access.h"

namespace fovea::cpu {
namespace {

using attention::BackwardProblem;
using attention::Problem;

// Rows [first, last) of all heads of a batch entry of the tensor.
struct Rows {
  int64_t b = 0, first = 0, last = 0;
};

// What is padding behind the keys of sequence b.
Rows padding_of(const Problem& p, const TensorView& gradient, int64_t b) {
  const attention::Sequence s = p.sequence(b);
  const int64_t length = gradient.size(2);
  if (p.jagged) {
    const int64_t next = b + 1 < p.batch ? p.sequence(b + 1).kv_first : length;
    return {0, s.kv_first + s.kv_len, next};
  }
  if (gradient.size(0) == p.batch) return {b, s.kv_len, length};
  return {0, b == 0 ? p.kv_len : length, length};  // all share the keys
}

void clear_row(const TensorView& gradient, int64_t at) {
  if (gradient.stride(3) == 1) {
    const auto size = static_cast<int64_t>(size_of(gradient.dtype));
    std::memset(static_cast<char*>(gradient.data) + at * size, 0,
                static_cast<std::size_t>(gradient.size(3) * size));
    return;
  }
  for (int64_t d = 0; d < gradient.size(3); ++d) {
    attention::store_element(gradient, at + d * gradient.stride(3), 0);
  }
}

void clear(const TensorView& gradient, const Rows& rows) {
  for (int64_t h = 0; h < gradient.size(1); ++h) {
    for (int64_t row = rows.first; row < rows.last; ++row) {
      clear_row(gradient,
                rows.b * gradient.stride(0) + h * gradient.stride(1) + row * gradient.stride(2));
    }
  }
}

}  // namespace

void clear_padding(const BackwardProblem& problem, Executor& executor) {
  const Problem& p = problem.forward;
  if (p.sequences.empty()) return;
  executor.parallel(p.batch, [&](int64_t b, int) {
    for (const TensorView* gradient : {&problem.dkey, &problem.dvalue}) {
      if (*gradient) clear(*gradient, padding_of(p, *gradient, b));
    }
  });
}

}  // namespace fovea::cpu
