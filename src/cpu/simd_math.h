// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/simd.h"

/// Elementary functions of vectors, as polynomials fitted for the smallest largest relative error
/// in f32. All are right for NaN, infinities and zeros; tests/unit/cpu/simd_test.cpp states how many
/// ulp each is off. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2 = 0.693147180559945309f;

/// c0 + x (c1 + x (c2 + ...)).
template <class... Rest>
FOVEA_INLINE Floats polynomial(Floats x, float c0, Rest... rest) {
  if constexpr (sizeof...(Rest) == 0) {
    return broadcast(c0);
  } else {
    return fma(polynomial(x, rest...), x, broadcast(c0));
  }
}

/// 2^f for |f| <= 1/2; exactly 1 at 0.
FOVEA_INLINE Floats exp2_fraction(Floats f) {
  return polynomial(f, 1.0f, 0.693147003f, 0.240222424f, 0.0555073358f, 0.00967151299f,
                    0.00132647273f);
}

/// p * 2^n for p about 1 and any whole n in [-252, 254], overflowing and underflowing as it should.
FOVEA_INLINE Floats scale_by_pow2(Floats p, Floats whole) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_scalef_ps(p, whole);
#else
  // In two factors, as 2^n itself may be out of range.
  const Ints n = to_ints(whole), half = n >> 1;
  return p * as_floats((half + 127) << 23) * as_floats((n - half + 127) << 23);
#endif
}

/// 2^x for any x.
FOVEA_INLINE Floats exp2(Floats x) {
  const Floats clamped =
      min(broadcast(200.0f), max(broadcast(-200.0f), x));  // this order lets NaN through
  const Floats whole = round(clamped);
  return scale_by_pow2(exp2_fraction(clamped - whole), whole);
}

/// e^x. The remainder is taken in two parts of ln 2, so large arguments keep their precision.
FOVEA_INLINE Floats exp(Floats x) {
  const Floats clamped = min(broadcast(130.0f), max(broadcast(-130.0f), x));
  const Floats whole = round(clamped * kLog2E);
  Floats r = fma(whole, broadcast(-0.693145752f), clamped);
  r = fma(whole, broadcast(-1.42860677e-6f), r);
  const Floats p = polynomial(r, 1.0f, 1.0f, 0.49999994f, 0.16666521f, 0.0416683890f,
                              0.00836871658f, 0.00138145988f);
  return scale_by_pow2(p, whole);
}

/// x = 2^exponent * (1 + fraction) with 1 + fraction in [sqrt 1/2, sqrt 2); x positive and finite.
struct Logarithm {
  Floats exponent, fraction;
};
FOVEA_INLINE Logarithm split_for_log(Floats x) {
  const Ints tiny = x < 1.17549435e-38f;                            // denormals
  const Ints bits = as_ints(abs(select(tiny, x * 8388608.0f, x)));  // so that nothing overflows
  const Ints offset = bits - 0x3f3504f3;                            // sqrt 1/2
  const Ints exponent = (offset >> 23) - (tiny & 23);
  const Ints mantissa = (offset & 0x007fffff) + 0x3f3504f3;
  return {to_floats(exponent), as_floats(mantissa) - 1.0f};
}
/// (ln(1 + f) - f) / f^2 * f^2, that is ln(1 + f) without its leading term.
FOVEA_INLINE Floats log_tail(Floats f) {
  const Floats p = polynomial(f, 0.3333333f, -0.2500082f, 0.20001227f, -0.16623357f, 0.14201757f,
                              -0.13160184f, 0.12761582f, -0.076344974f);
  const Floats square = f * f;
  return fma(square * f, p, square * -0.5f);
}
FOVEA_INLINE Floats fix_log(Floats x, Floats result) {
  const Floats at_edge = select(x == 0.0f, broadcast(-kInfinity), broadcast(__builtin_nanf("")));
  return select((x > 0.0f) & (x < kInfinity), result, select(x == kInfinity, x, at_edge));
}
FOVEA_INLINE Floats log(Floats x) {
  const Logarithm s = split_for_log(x);
  const Floats low = fma(s.exponent, broadcast(1.42860677e-6f), log_tail(s.fraction));
  return fix_log(x, fma(s.exponent, broadcast(0.693145752f), s.fraction + low));
}
FOVEA_INLINE Floats log2(Floats x) {
  const Logarithm s = split_for_log(x);
  // log2(e) in two parts: the product keeps the bits that a single one would round away.
  const Floats tail = log_tail(s.fraction);
  Floats low = fma(s.fraction, broadcast(1.92596299e-8f), tail * kLog2E);
  low = fma(s.fraction, broadcast(0.44269504f), low);
  return fix_log(x, s.exponent + (s.fraction + low));
}

/// x P(x^2) / Q(x^2); +-1 from |x| = 9.02 on. Never beyond +-1.
FOVEA_INLINE Floats tanh(Floats x) {
  const Floats clamped = min(broadcast(9.02f), max(broadcast(-9.02f), x));
  const Floats square = clamped * clamped;
  const Floats p =
      polynomial(square, 1.0f, 0.133797169f, 0.00349403266f, 2.05834694e-5f, 1.33190525e-8f);
  const Floats q =
      polynomial(square, 1.0f, 0.467130333f, 0.0258710645f, 3.28309165e-4f, 7.76199784e-7f);
  return min(broadcast(1.0f), max(broadcast(-1.0f), clamped * p / q));
}

FOVEA_INLINE Floats sigmoid(Floats x) { return 1.0f / (1.0f + exp(-x)); }

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
