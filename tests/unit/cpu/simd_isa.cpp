// SPDX-License-Identifier: Apache-2.0
#include "cpu/microkernel.h"
#include "cpu/simd_half.h"
#include "cpu/simd_math.h"
#include "cpu/transpose.h"
#include "unit/cpu/simd_entry.h"

namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {

void unary(Unary f, const float* from, float* out) {
  const Floats x = load(from);
  switch (f) {
    case Unary::exp2: store(out, exp2(x)); break;
    case Unary::exp: store(out, exp(x)); break;
    case Unary::log: store(out, log(x)); break;
    case Unary::log2: store(out, log2(x)); break;
    case Unary::tanh: store(out, tanh(x)); break;
    case Unary::sigmoid: store(out, sigmoid(x)); break;
    case Unary::sqrt: store(out, sqrt(x)); break;
    case Unary::absolute: store(out, abs(x)); break;
    case Unary::round: store(out, round(x)); break;
    case Unary::floor: store(out, floor(x)); break;
    case Unary::ceil: store(out, ceil(x)); break;
    case Unary::trunc: store(out, trunc(x)); break;
    case Unary::truncate_to_int: store(out, to_floats(to_ints(x))); break;
  }
}

void binary(Binary f, const float* pa, const float* pb, float* out) {
  const Floats a = load(pa), b = load(pb);
  switch (f) {
    case Binary::min: store(out, min(a, b)); break;
    case Binary::max: store(out, max(a, b)); break;
    case Binary::min_or_nan: store(out, min_or_nan(a, b)); break;
    case Binary::max_or_nan: store(out, max_or_nan(a, b)); break;
    case Binary::copysign: store(out, copysign(a, b)); break;
    case Binary::less: store(out, to_floats(a < b)); break;
  }
}

void call_fma(const float* a, const float* b, const float* c, float* out) {
  store(out, fma(load(a), load(b), load(c)));
}
void call_select(const int32_t* mask, const float* a, const float* b, float* out) {
  store(out, select(load(mask), load(a), load(b)));
}
void call_gather(const float* base, const int32_t* index, const int32_t* mask, float* out) {
  store(out, gather(base, load(index), load(mask)));
}
void call_transpose(float* square) {
  Square s;
  for (int i = 0; i < kLanes; ++i) s.row[i] = load(square + i * kLanes);
  transpose(s);
  for (int i = 0; i < kLanes; ++i) store(square + i * kLanes, s.row[i]);
}
float call_hsum(const float* x) { return hsum(load(x)); }
float call_hmax(const float* x) { return hmax(load(x)); }
bool call_any(const int32_t* mask) { return any(load(mask)); }
bool call_all(const int32_t* mask) { return all(load(mask)); }
void call_load_partial(const float* from, int64_t count, float* out) {
  store(out, load_partial(from, count));
}
void call_store_partial(const float* x, int64_t count, float* to) {
  store_partial(to, load(x), count);
}

// Whole vectors by the whole load and store.
void call_widen(DType dtype, const void* from, int64_t count, float* out) {
  with_elements(dtype, from, [&](const auto* p) {
    store(out, count == kLanes ? load(p) : load_partial(p, count));
  });
}
void call_round_to(DType dtype, const float* x, int64_t count, void* to) {
  with_elements(dtype, to, [&](auto* p) {
    count == kLanes ? store(p, load(x)) : store_partial(p, load(x), count);
  });
}
void call_dot_pairs(const int32_t* a, const int32_t* b, const float* sum, float* out) {
  store(out, dot_pairs(load(a), load(b), load(sum)));
}
void call_store_pairs(const float* first, const float* second, void* to) {
  store_pairs(to, load(first), load(second));
}
void call_load_pairs(const void* from, int64_t elements, int32_t* out) {
  store(out, load_pairs(static_cast<const BFloat16*>(from), elements));
}
void call_zip_pairs(const void* lower, const void* upper, int32_t* out) {
  store(out, zip_pairs(load_halves(lower), load_halves(upper)));
}

void call_multiply(bool add, int64_t rows, int64_t k, int64_t first_vector, int64_t vectors,
                   const float* a, int64_t a_row, int64_t a_k, const float* b, int64_t b_k,
                   int64_t b_panel, float* c, int64_t c_row) {
  const MatrixOperands m{.a = a,
                         .a_row = a_row,
                         .a_k = a_k,
                         .b = b,
                         .b_k = b_k,
                         .b_panel = b_panel,
                         .c = c,
                         .c_row = c_row,
                         .then = nullptr,
                         .then_floats = 0};
  if (add) {
    multiply<Update::add>(rows, k, first_vector, vectors, m);
  } else {
    multiply<Update::overwrite>(rows, k, first_vector, vectors, m);
  }
}

}  // namespace

extern const SimdEntry kSimdEntry;
const SimdEntry kSimdEntry = {.lanes = kLanes,
                              .unary = unary,
                              .binary = binary,
                              .fma = call_fma,
                              .select = call_select,
                              .gather = call_gather,
                              .transpose = call_transpose,
                              .hsum = call_hsum,
                              .hmax = call_hmax,
                              .any = call_any,
                              .all = call_all,
                              .load_partial = call_load_partial,
                              .store_partial = call_store_partial,
                              .widen = call_widen,
                              .round_to = call_round_to,
                              .dot_pairs = call_dot_pairs,
                              .store_pairs = call_store_pairs,
                              .load_pairs = call_load_pairs,
                              .zip_pairs = call_zip_pairs,
                              .block_columns = kBlockColumns,
                              .multiply = call_multiply};

}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
