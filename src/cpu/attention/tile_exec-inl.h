// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/tile_loops-inl.h"
#include "cpu/attention/tile_ops-inl.h"

/// One instruction over one job: the table from TileOp to loops. Gathers and sums go
/// another way (tile_gather-inl.h, tile_sums-inl.h, tile_scatter-inl.h).
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

template <class F>
FOVEA_INLINE void floats1(const TileJob& job, F f) {
  map1<Floats>(job, f);
}
template <class F>
FOVEA_INLINE void floats2(const TileJob& job, F f) {
  map2<Floats, Floats>(job, f);
}
template <class F>
FOVEA_INLINE void floats3(const TileJob& job, F f) {
  map3<Floats, Floats, Floats>(job, f);
}
template <class F>
FOVEA_INLINE void ints1(const TileJob& job, F f) {
  map1<Ints>(job, f);
}
template <class F>
FOVEA_INLINE void ints2(const TileJob& job, F f) {
  map2<Ints, Ints>(job, f);
}

inline void execute(TileOp op, const TileJob& job) {
  using F = Floats;
  using I = Ints;
  switch (op) {
    case TileOp::copy: return ints1(job, [](I a) { return a; });
    case TileOp::gather:
    case TileOp::sum_scalar:
    case TileOp::sum_rows:
    case TileOp::sum_columns:
    case TileOp::sum_diagonals:
    case TileOp::scatter: return;

    case TileOp::add_f32: return floats2(job, [](F a, F b) { return a + b; });
    case TileOp::sub_f32: return floats2(job, [](F a, F b) { return a - b; });
    case TileOp::mul_f32: return floats2(job, [](F a, F b) { return a * b; });
    case TileOp::div_f32: return floats2(job, [](F a, F b) { return a / b; });
    case TileOp::mod_f32:
      return floats2(job, [](F a, F b) {
        return lanes2(a, b, [](float x, float y) { return floor_mod(x, y); });
      });
    case TileOp::min_f32: return floats2(job, [](F a, F b) { return min_or_nan(a, b); });
    case TileOp::max_f32: return floats2(job, [](F a, F b) { return max_or_nan(a, b); });
    case TileOp::pow_f32:
      return floats2(job, [](F a, F b) {
        return lanes2(a, b, [](float x, float y) { return __builtin_powf(x, y); });
      });
    case TileOp::neg_f32: return floats1(job, [](F a) { return -a; });
    case TileOp::abs_f32: return floats1(job, [](F a) { return abs(a); });
    case TileOp::exp_f32: return floats1(job, [](F a) { return exp(a); });
    case TileOp::exp2_f32: return floats1(job, [](F a) { return exp2(a); });
    case TileOp::log_f32: return floats1(job, [](F a) { return log(a); });
    case TileOp::log2_f32: return floats1(job, [](F a) { return log2(a); });
    case TileOp::tanh_f32: return floats1(job, [](F a) { return tanh(a); });
    case TileOp::sigmoid_f32: return floats1(job, [](F a) { return sigmoid(a); });
    case TileOp::sqrt_f32: return floats1(job, [](F a) { return sqrt(a); });
    case TileOp::rsqrt_f32: return floats1(job, [](F a) { return 1.0f / sqrt(a); });
    case TileOp::sin_f32:
      return floats1(job, [](F a) { return lanes1(a, [](float x) { return __builtin_sinf(x); }); });
    case TileOp::cos_f32:
      return floats1(job, [](F a) { return lanes1(a, [](float x) { return __builtin_cosf(x); }); });
    case TileOp::erf_f32:
      return floats1(job, [](F a) { return lanes1(a, [](float x) { return __builtin_erff(x); }); });
    case TileOp::floor_f32: return floats1(job, [](F a) { return floor(a); });
    case TileOp::ceil_f32: return floats1(job, [](F a) { return ceil(a); });
    case TileOp::trunc_f32: return floats1(job, [](F a) { return trunc(a); });
    case TileOp::round_f32: return floats1(job, [](F a) { return round(a); });

    case TileOp::add_i32: return ints2(job, [](I a, I b) { return add_wrapping(a, b); });
    case TileOp::sub_i32: return ints2(job, [](I a, I b) { return sub_wrapping(a, b); });
    case TileOp::mul_i32: return ints2(job, [](I a, I b) { return mul_wrapping(a, b); });
    case TileOp::floor_div_i32: return floor_div_loop(job);
    case TileOp::mod_i32: return floor_mod_loop(job);
    case TileOp::min_i32: return ints2(job, [](I a, I b) { return min(a, b); });
    case TileOp::max_i32: return ints2(job, [](I a, I b) { return max(a, b); });
    case TileOp::neg_i32: return ints1(job, [](I a) { return negate(a); });
    case TileOp::abs_i32: return ints1(job, [](I a) { return abs(a); });
    case TileOp::shift_left: return ints2(job, [](I a, I b) { return shift_left(a, b); });
    case TileOp::shift_right: return ints2(job, [](I a, I b) { return shift_right(a, b); });
    case TileOp::philox: return philox_loop(job);

    case TileOp::bit_and: return ints2(job, [](I a, I b) { return a & b; });
    case TileOp::bit_or: return ints2(job, [](I a, I b) { return a | b; });
    case TileOp::bit_xor: return ints2(job, [](I a, I b) { return a ^ b; });
    case TileOp::bit_not: return ints1(job, [](I a) { return ~a; });

    case TileOp::eq_f32: return floats2(job, [](F a, F b) -> I { return a == b; });
    case TileOp::ne_f32: return floats2(job, [](F a, F b) -> I { return a != b; });
    case TileOp::lt_f32: return floats2(job, [](F a, F b) -> I { return a < b; });
    case TileOp::le_f32: return floats2(job, [](F a, F b) -> I { return a <= b; });
    case TileOp::eq_i32: return ints2(job, [](I a, I b) -> I { return a == b; });
    case TileOp::ne_i32: return ints2(job, [](I a, I b) -> I { return a != b; });
    case TileOp::lt_i32: return ints2(job, [](I a, I b) -> I { return a < b; });
    case TileOp::le_i32: return ints2(job, [](I a, I b) -> I { return a <= b; });

    case TileOp::i32_to_f32: return ints1(job, [](I a) { return to_floats(a); });
    case TileOp::bool_to_f32:
      return ints1(job, [](I a) { return as_floats(a & as_ints(broadcast(1.0f))); });
    case TileOp::f32_to_i32: return floats1(job, [](F a) { return truncate_to_ints(a); });
    case TileOp::bool_to_i32: return ints1(job, [](I a) { return a & 1; });
    case TileOp::f32_to_bool: return floats1(job, [](F a) -> I { return a != 0; });
    case TileOp::i32_to_bool: return ints1(job, [](I a) -> I { return a != 0; });

    case TileOp::select: return select_lanes(job);

    case TileOp::fma: return floats3(job, [](F a, F b, F c) { return fma(a, b, c); });
    case TileOp::fms: return floats3(job, [](F a, F b, F c) { return fma(a, b, -c); });
    case TileOp::fnma: return floats3(job, [](F a, F b, F c) { return fma(-a, b, c); });
    case TileOp::tanh_mul: return floats2(job, [](F a, F b) { return tanh(a * b); });
    case TileOp::tanh_div: return tanh_div_loop(job);
    case TileOp::gradient_mul:
      return floats2(job, [](F g, F a) { return select(g != 0.0f, g * a, F{}); });
    case TileOp::gradient_div: return gradient_div_loop(job);
    case TileOp::tanh_gradient:
      return floats3(job, [](F g, F r, F a) {
        return select(g != 0.0f, g * a * fma(-r, r, broadcast(1.0f)), F{});
      });
    case TileOp::softcap: return floats3(job, [](F a, F b, F c) { return tanh(a * b) * c; });
    case TileOp::softcap_div: return softcap_div_loop(job);
    case TileOp::select_and: return select2<I>(job, [](I a, I b) { return a & b; });
    case TileOp::select_or: return select2<I>(job, [](I a, I b) { return a | b; });
    case TileOp::select_eq_f32: return select2<F>(job, [](F a, F b) -> I { return a == b; });
    case TileOp::select_ne_f32: return select2<F>(job, [](F a, F b) -> I { return a != b; });
    case TileOp::select_lt_f32: return select2<F>(job, [](F a, F b) -> I { return a < b; });
    case TileOp::select_le_f32: return select2<F>(job, [](F a, F b) -> I { return a <= b; });
    case TileOp::select_eq_i32: return select2<I>(job, [](I a, I b) -> I { return a == b; });
    case TileOp::select_ne_i32: return select2<I>(job, [](I a, I b) -> I { return a != b; });
    case TileOp::select_lt_i32: return select2<I>(job, [](I a, I b) -> I { return a < b; });
    case TileOp::select_le_i32: return select2<I>(job, [](I a, I b) -> I { return a <= b; });
    case TileOp::select_within_f32:
      return select3<F>(job, [](F a, F b, F c) -> I { return abs(a - b) <= c; });
    case TileOp::select_within_i32:
      return select3<I>(job, [](I a, I b, I c) -> I { return abs(sub_wrapping(a, b)) <= c; });
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
