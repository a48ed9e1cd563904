// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fovea/dtype.h>
#include "cpu/simd.h"

/// Elements of two bytes: loads widen them to f32 exactly, stores round to the nearest, ties to even (NaN
/// stays NaN). The overloads are those of simd.h, so that code written for f32 is a template over the
/// element. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

typedef uint16_t Halves __attribute__((vector_size(FOVEA_SIMD_LANES * 2)));
typedef uint32_t Words __attribute__((vector_size(FOVEA_SIMD_LANES * 4)));

FOVEA_INLINE Halves load_halves(const void* p) {
  Halves v;
  memcpy(&v, p, sizeof v);
  return v;
}

/// The first `count` (0..kLanes); the others are 0 and their memory is not touched.
FOVEA_INLINE Halves load_halves(const void* p, int64_t count) {
#if defined(FOVEA_SIMD_AVX512)
  return reinterpret_cast<Halves>(
      _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << count) - 1), p));
#else
  Halves v = {};
  for (int i = 0; i < kLanes; ++i) {
    if (i < count) v[i] = static_cast<const uint16_t*>(p)[i];
  }
  return v;
#endif
}

FOVEA_INLINE void store_halves(void* p, Halves v) { memcpy(p, &v, sizeof v); }
FOVEA_INLINE void store_halves(void* p, Halves v, int64_t count) {
#if defined(FOVEA_SIMD_AVX512)
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << count) - 1),
                           reinterpret_cast<__m256i>(v));
#else
  for (int i = 0; i < kLanes; ++i) {
    if (i < count) static_cast<uint16_t*>(p)[i] = v[i];
  }
#endif
}

// g++ 12 converts vectors of more than 128 bits in halves.
FOVEA_INLINE Words extend(Halves v) {
#if defined(FOVEA_SIMD_AVX512)
  return reinterpret_cast<Words>(_mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(v)));
#elif defined(FOVEA_SIMD_AVX2)
  return reinterpret_cast<Words>(_mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(v)));
#else
  return __builtin_convertvector(v, Words);
#endif
}

/// The lower halves.
FOVEA_INLINE Halves truncate(Words v) {
#if defined(FOVEA_SIMD_AVX512)
  return reinterpret_cast<Halves>(_mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(v)));
#else
  return __builtin_convertvector(v, Halves);
#endif
}

// ---- bf16: the upper half of an f32 -------------------------------------------------------------

FOVEA_INLINE Floats widen_bf16(Halves v) {
  return as_floats(reinterpret_cast<Ints>(extend(v) << 16));
}

FOVEA_INLINE Halves round_bf16(Floats v) {
  const Words x = reinterpret_cast<Words>(v);
  const Ints nan = v != v;
  const Words rounded = (x + 0x7fffu + ((x >> 16) & 1u)) >> 16;
  const Words quiet = (x >> 16) | 0x40u;  // whatever bits are cut off
  const Ints kept = select(nan, reinterpret_cast<Ints>(quiet), reinterpret_cast<Ints>(rounded));
  return truncate(reinterpret_cast<Words>(kept));
}

// ---- f16 ----------------------------------------------------------------------------------------

FOVEA_INLINE Floats widen_f16(Halves v) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_cvtph_ps(reinterpret_cast<__m256i>(v));
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_cvtph_ps(reinterpret_cast<__m128i>(v));
#elif defined(FOVEA_SIMD_NEON)
  return vcvt_f32_f16(reinterpret_cast<float16x4_t>(v));
#else
  // The exponent is rebiased; denormals get the smallest one, whose hidden bit is then subtracted.
  const Ints x = reinterpret_cast<Ints>(extend(v));
  const Ints magnitude = (x & 0x7fff) << 13, exponent = magnitude & (0x7c00 << 13);
  const Ints normal = magnitude + (112 << 23);
  const Ints special = exponent == broadcast(0x7c00 << 13);  // infinity or NaN
  const Ints denormal = exponent == broadcast(0);
  const Floats small = as_floats(normal + (1 << 23)) - as_floats(broadcast(113 << 23));
  const Ints result = select(denormal, as_ints(small), normal + (special & broadcast(112 << 23)));
  return as_floats(result | ((x & 0x8000) << 16));
#endif
}

FOVEA_INLINE Halves round_f16(Floats v) {
#if defined(FOVEA_SIMD_AVX512)
  return reinterpret_cast<Halves>(
      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(FOVEA_SIMD_AVX2)
  return reinterpret_cast<Halves>(
      _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(FOVEA_SIMD_NEON)
  return reinterpret_cast<Halves>(vcvt_f16_f32(v));
#else
  const Ints x = as_ints(v), magnitude = x & 0x7fffffff;
  const Ints normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  // The sum's last bit is worth 2^-24, and the addition rounds.
  const Ints denormal = as_ints(as_floats(magnitude) + broadcast(0.5f)) - as_ints(broadcast(0.5f));
  Ints result = select(magnitude < 0x38800000, denormal, normal);
  result = select(magnitude >= 0x477ff000, broadcast(0x7c00), result);  // from 65520 on
  result = select(magnitude > 0x7f800000, broadcast(0x7e00), result);
  const Ints sign = (x >> 16) & 0x8000;
  return truncate(reinterpret_cast<Words>(result | sign));
#endif
}

// ---- the overloads ------------------------------------------------------------------------------

FOVEA_INLINE Floats load(const BFloat16* p) { return widen_bf16(load_halves(p)); }
FOVEA_INLINE Floats load(const Float16* p) { return widen_f16(load_halves(p)); }
FOVEA_INLINE Floats load_partial(const BFloat16* p, int64_t count) {
  return widen_bf16(load_halves(p, count));
}
FOVEA_INLINE Floats load_partial(const Float16* p, int64_t count) {
  return widen_f16(load_halves(p, count));
}
FOVEA_INLINE void store(BFloat16* p, Floats v) { store_halves(p, round_bf16(v)); }
FOVEA_INLINE void store(Float16* p, Floats v) { store_halves(p, round_f16(v)); }
FOVEA_INLINE void store_partial(BFloat16* p, Floats v, int64_t count) {
  store_halves(p, round_bf16(v), count);
}
FOVEA_INLINE void store_partial(Float16* p, Floats v, int64_t count) {
  store_halves(p, round_f16(v), count);
}

/// One element. Through a vector: the same rounding, and no call out of the kernel.
FOVEA_INLINE float load_one(const float* p) { return *p; }
template <class Element>
FOVEA_INLINE float load_one(const Element* p) {
  return load_partial(p, 1)[0];
}
FOVEA_INLINE void store_one(float* p, float x) { *p = x; }
template <class Element>
FOVEA_INLINE void store_one(Element* p, float x) {
  store_partial(p, broadcast(x), 1);
}

// ---- pairs of bf16 ------------------------------------------------------------------------------

// Whether kernels multiply bf16 in pairs. A test may ask for it on machines without the instruction.
#ifndef FOVEA_SIMD_PAIRS
#if defined(FOVEA_SIMD_AVX512) && defined(__AVX512BF16__)
#define FOVEA_SIMD_PAIRS 1
#else
#define FOVEA_SIMD_PAIRS 0
#endif
#endif

/// sum + a1 * b1 + a0 * b0, lane by lane, for pairs of bf16 in 32 bits: element 0 is the lower half.
/// Without the instruction it is two fused multiply-adds in the same order, which differs in that it
/// keeps denormals (of bf16 and of the sums), where the instruction takes and leaves zeros.
FOVEA_INLINE Floats dot_pairs(Ints a, Ints b, Floats sum) {
#if defined(FOVEA_SIMD_AVX512) && defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
#else
  const Ints upper = broadcast(static_cast<int32_t>(0xffff0000));
  sum = fma(as_floats(a & upper), as_floats(b & upper), sum);
  return fma(as_floats(a << 16), as_floats(b << 16), sum);
#endif
}

/// Two vectors behind each other, rounded: 2 * kLanes elements, or kLanes pairs.
FOVEA_INLINE void store_pairs(void* p, Floats first, Floats second) {
#if defined(FOVEA_SIMD_AVX512) && defined(__AVX512BF16__)
  const __m512bh pairs = _mm512_cvtne2ps_pbh(second, first);
  memcpy(p, &pairs, sizeof pairs);
#else
  store_halves(p, round_bf16(first));
  store_halves(static_cast<uint16_t*>(p) + kLanes, round_bf16(second));
#endif
}

/// The first `elements` (0..2 * kLanes) of a row as pairs; the others are 0 and their memory is not touched.
FOVEA_INLINE Ints load_pairs(const BFloat16* p, int64_t elements) {
#if defined(FOVEA_SIMD_AVX512)
  const auto mask = static_cast<__mmask32>((uint64_t{1} << elements) - 1);
  return reinterpret_cast<Ints>(_mm512_maskz_loadu_epi16(mask, p));
#else
  uint16_t all[2 * kLanes] = {};
  for (int64_t i = 0; i < elements; ++i) all[i] = p[i].bits;
  Ints v;
  memcpy(&v, all, sizeof v);
  return v;
#endif
}

/// Pair i is (lower[i], upper[i]).
FOVEA_INLINE Ints zip_pairs(Halves lower, Halves upper) {
  return reinterpret_cast<Ints>(extend(lower) | extend(upper) << 16);
}

// ---- by dtype -----------------------------------------------------------------------------------

/// f(p), with p as a pointer to elements of `dtype` (f32, bf16 or f16). A switch a panel or row, so that
/// loops know their element.
template <class F>
FOVEA_INLINE void with_elements(DType dtype, const void* p, F f) {
  if (dtype == DType::bf16) return f(static_cast<const BFloat16*>(p));
  if (dtype == DType::f16) return f(static_cast<const Float16*>(p));
  f(static_cast<const float*>(p));
}
template <class F>
FOVEA_INLINE void with_elements(DType dtype, void* p, F f) {
  if (dtype == DType::bf16) return f(static_cast<BFloat16*>(p));
  if (dtype == DType::f16) return f(static_cast<Float16*>(p));
  f(static_cast<float*>(p));
}

/// `elements` from p, in elements of `dtype`.
FOVEA_INLINE const void* advance(const void* p, DType dtype, int64_t elements) {
  return static_cast<const char*>(p) + elements * (dtype == DType::f32 ? 4 : 2);
}
FOVEA_INLINE void* advance(void* p, DType dtype, int64_t elements) {
  return static_cast<char*>(p) + elements * (dtype == DType::f32 ? 4 : 2);
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
