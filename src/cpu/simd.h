// SPDX-License-Identifier: Apache-2.0
#pragma once

// For kernel sources (*_isa.cpp) only. They are compiled once per instruction set, each into its own
// namespace, so nothing here may have external linkage: the linker would be free to take the AVX-512
// copy of an inline function for a machine without it.

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12: _mm512_undefined_ps
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#ifndef FOVEA_ISA_NAMESPACE
#define FOVEA_ISA_NAMESPACE baseline
#endif

// Lanes of a vector of 32-bit elements. A test may ask for more than the instruction set has: the
// compiler then splits the vectors, and the wide code can run on a narrow machine.
#ifndef FOVEA_SIMD_LANES
#if defined(__AVX512F__)
#define FOVEA_SIMD_LANES 16
#elif defined(__AVX2__)
#define FOVEA_SIMD_LANES 8
#else
#define FOVEA_SIMD_LANES 4
#endif
#endif

// Which intrinsics fit these vectors; with none of them the GNU vector extensions do everything.
#if FOVEA_SIMD_LANES == 16 && defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define FOVEA_SIMD_AVX512 1
#elif FOVEA_SIMD_LANES == 8 && defined(__AVX2__) && defined(__FMA__)
#define FOVEA_SIMD_AVX2 1
#elif FOVEA_SIMD_LANES == 4 && defined(__SSE2__)
#define FOVEA_SIMD_SSE2 1
#elif FOVEA_SIMD_LANES == 4 && defined(__ARM_NEON) && defined(__aarch64__)
#define FOVEA_SIMD_NEON 1
#endif

// Two kernels of one instruction set exchange no vectors across calls that are not inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

#define FOVEA_INLINE inline __attribute__((always_inline))

/// exp2, log, tanh and their like: cpu/simd_math.h.
///
/// Vectors of f32 and i32 in the width of the instruction set, over the GNU vector extensions: the
/// operators + - * / < <= > >= == != & | ^ ~ << >> work on them as they are; a comparison gives
/// Ints of 0 and -1, which is what `mask` means below.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage is the point, see above

constexpr int kLanes = FOVEA_SIMD_LANES;
constexpr int kVectorBytes = kLanes * 4;
typedef float Floats __attribute__((vector_size(FOVEA_SIMD_LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(FOVEA_SIMD_LANES * 4)));

constexpr float kInfinity = __builtin_inff();

// ---- moving ------------------------------------------------------------------------------------

FOVEA_INLINE Floats load(const float* p) {
  Floats v;
  memcpy(&v, p, sizeof v);
  return v;
}
FOVEA_INLINE Ints load(const int32_t* p) {
  Ints v;
  memcpy(&v, p, sizeof v);
  return v;
}
FOVEA_INLINE void store(float* p, Floats v) { memcpy(p, &v, sizeof v); }
FOVEA_INLINE void store(int32_t* p, Ints v) { memcpy(p, &v, sizeof v); }

FOVEA_INLINE Floats broadcast(float x) { return x - Floats{}; }
FOVEA_INLINE Ints broadcast(int32_t x) { return x - Ints{}; }

/// 0, 1, 2, ...
FOVEA_INLINE Ints iota() {
#if FOVEA_SIMD_LANES == 16
  return Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif FOVEA_SIMD_LANES == 8
  return Ints{0, 1, 2, 3, 4, 5, 6, 7};
#else
  return Ints{0, 1, 2, 3};
#endif
}

FOVEA_INLINE Ints as_ints(Floats v) { return reinterpret_cast<Ints>(v); }
FOVEA_INLINE Floats as_floats(Ints v) { return reinterpret_cast<Floats>(v); }

/// Lanes [0, count) on.
FOVEA_INLINE Ints first_lanes(int64_t count) {
  return iota() < broadcast(static_cast<int32_t>(count));
}

/// The first `count` (0..kLanes) elements; the other lanes are 0 and their memory is not touched.
FOVEA_INLINE Floats load_partial(const float* p, int64_t count) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_maskload_ps(p, reinterpret_cast<__m256i>(first_lanes(count)));
#else
  Floats v = {};
  for (int i = 0; i < kLanes; ++i) {
    if (i < count) v[i] = p[i];
  }
  return v;
#endif
}
FOVEA_INLINE Ints load_partial(const int32_t* p, int64_t count) {
  return as_ints(load_partial(reinterpret_cast<const float*>(p), count));
}

FOVEA_INLINE void store_partial(float* p, Floats v, int64_t count) {
#if defined(FOVEA_SIMD_AVX512)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), v);
#elif defined(FOVEA_SIMD_AVX2)
  _mm256_maskstore_ps(p, reinterpret_cast<__m256i>(first_lanes(count)), v);
#else
  for (int i = 0; i < kLanes; ++i) {
    if (i < count) p[i] = v[i];
  }
#endif
}
FOVEA_INLINE void store_partial(int32_t* p, Ints v, int64_t count) {
  store_partial(reinterpret_cast<float*>(p), as_floats(v), count);
}

// ---- arithmetic --------------------------------------------------------------------------------

/// a * b + c, fused where the machine has it (baseline x86-64 has not: two roundings).
FOVEA_INLINE Floats fma(Floats a, Floats b, Floats c) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(FOVEA_SIMD_NEON)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}
FOVEA_INLINE Floats fma(Floats a, Floats b, float c) { return fma(a, b, broadcast(c)); }

/// mask ? a : b, lane by lane.
FOVEA_INLINE Floats select(Ints mask, Floats a, Floats b) {
#if defined(FOVEA_SIMD_AVX2)
  return _mm256_blendv_ps(b, a, reinterpret_cast<__m256>(mask));
#elif defined(FOVEA_SIMD_AVX512)
  return mask ? a : b;  // folds with the comparison that made the mask
#else
  return as_floats((mask & as_ints(a)) | (~mask & as_ints(b)));
#endif
}
FOVEA_INLINE Ints select(Ints mask, Ints a, Ints b) {
  return as_ints(select(mask, as_floats(a), as_floats(b)));
}

/// a < b ? a : b: b if either is NaN.
FOVEA_INLINE Floats min(Floats a, Floats b) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_min_ps(a, b);
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_min_ps(a, b);
#elif defined(FOVEA_SIMD_SSE2)
  return _mm_min_ps(a, b);
#else
  return select(a < b, a, b);
#endif
}
/// a > b ? a : b: b if either is NaN.
FOVEA_INLINE Floats max(Floats a, Floats b) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_max_ps(a, b);
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_max_ps(a, b);
#elif defined(FOVEA_SIMD_SSE2)
  return _mm_max_ps(a, b);
#else
  return select(a > b, a, b);
#endif
}
/// NaN if either is NaN (what programs mean by min and max).
FOVEA_INLINE Floats min_or_nan(Floats a, Floats b) { return select(a != a, a, min(a, b)); }
FOVEA_INLINE Floats max_or_nan(Floats a, Floats b) { return select(a != a, a, max(a, b)); }
FOVEA_INLINE Ints min(Ints a, Ints b) { return select(a < b, a, b); }
FOVEA_INLINE Ints max(Ints a, Ints b) { return select(a > b, a, b); }

FOVEA_INLINE Floats abs(Floats v) { return as_floats(as_ints(v) & 0x7fffffff); }
FOVEA_INLINE Floats copysign(Floats magnitude, Floats sign) {
  return as_floats((as_ints(magnitude) & 0x7fffffff) | (as_ints(sign) & INT32_MIN));
}

FOVEA_INLINE Floats sqrt(Floats v) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_sqrt_ps(v);
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_sqrt_ps(v);
#elif defined(FOVEA_SIMD_SSE2)
  return _mm_sqrt_ps(v);
#elif defined(FOVEA_SIMD_NEON)
  return vsqrtq_f32(v);
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

typedef uint64_t Wides __attribute__((vector_size(FOVEA_SIMD_LANES * 4)));

/// The low words of 64-bit lanes multiplied, all 64 bits.
FOVEA_INLINE Wides multiply_low_words(Wides a, Wides b) {
#if defined(FOVEA_SIMD_AVX512)
  return reinterpret_cast<Wides>(
      _mm512_mul_epu32(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(FOVEA_SIMD_AVX2)
  return reinterpret_cast<Wides>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(FOVEA_SIMD_SSE2)
  return reinterpret_cast<Wides>(
      _mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#elif defined(FOVEA_SIMD_NEON)
  return vmull_u32(vmovn_u64(a), vmovn_u64(b));
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

// ---- conversion and rounding -------------------------------------------------------------------

FOVEA_INLINE Floats to_floats(Ints v) { return __builtin_convertvector(v, Floats); }

/// Truncates. Unspecified (but harmless) for NaN and beyond 32 bits.
FOVEA_INLINE Ints to_ints(Floats v) {
#if defined(FOVEA_SIMD_AVX512)
  return reinterpret_cast<Ints>(_mm512_cvttps_epi32(v));
#elif defined(FOVEA_SIMD_AVX2)
  return reinterpret_cast<Ints>(_mm256_cvttps_epi32(v));
#elif defined(FOVEA_SIMD_SSE2)
  return reinterpret_cast<Ints>(_mm_cvttps_epi32(v));
#elif defined(FOVEA_SIMD_NEON)
  return vcvtq_s32_f32(v);
#else
  const Ints inside = (v > -2147483904.0f) & (v < 2147483648.0f);
  return __builtin_convertvector(select(inside, v, broadcast(-2147483648.0f)), Ints);
#endif
}

/// To the nearest integer, ties to even. -0.2 gives -0.
FOVEA_INLINE Floats round(Floats v) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(FOVEA_SIMD_NEON)
  return vrndnq_f32(v);
#else
  // Adding 2^23 leaves no fraction bits; beyond 2^23 there are none anyway.
  const Floats magnitude = abs(v);
  const Floats rounded = (magnitude + 8388608.0f) - 8388608.0f;
  return copysign(select(magnitude < 8388608.0f, rounded, v), v);
#endif
}
FOVEA_INLINE Floats floor(Floats v) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_round_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#elif defined(FOVEA_SIMD_NEON)
  return vrndmq_f32(v);
#else
  const Floats r = round(v);
  return copysign(r - as_floats((r > v) & as_ints(broadcast(1.0f))), v);
#endif
}
FOVEA_INLINE Floats ceil(Floats v) { return -floor(-v); }
FOVEA_INLINE Floats trunc(Floats v) { return copysign(floor(abs(v)), v); }

// ---- gathering ---------------------------------------------------------------------------------

/// base[index] where the mask is on, 0 elsewhere; lanes that are off read no memory.
FOVEA_INLINE Floats gather(const float* base, Ints index, Ints mask) {
#if defined(FOVEA_SIMD_AVX512)
  __mmask16 lanes = _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask));
  asm(""
      : "+Yk"(lanes));  // g++ 12 drops the zeroed source of a gather whose mask it knows to be full
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes, reinterpret_cast<__m512i>(index),
                                  base, 4);
#elif defined(FOVEA_SIMD_AVX2)
  __m256 lanes = reinterpret_cast<__m256>(mask);
  asm("" : "+x"(lanes));
  return _mm256_mask_i32gather_ps(_mm256_setzero_ps(), base, reinterpret_cast<__m256i>(index),
                                  lanes, 4);
#else
  Floats v = {};
  for (int i = 0; i < kLanes; ++i) {
    if (mask[i] != 0) v[i] = base[index[i]];
  }
  return v;
#endif
}
FOVEA_INLINE Ints gather(const int32_t* base, Ints index, Ints mask) {
  return as_ints(gather(reinterpret_cast<const float*>(base), index, mask));
}

// ---- reducing ----------------------------------------------------------------------------------

typedef float Floats4 __attribute__((vector_size(16)));

/// Lanes folded onto four, always in the same order: the upper half onto the lower half.
template <class Fold>
FOVEA_INLINE Floats4 fold_to_four(Floats v, Fold fold) {
#if FOVEA_SIMD_LANES == 16
  typedef float Floats8 __attribute__((vector_size(32)));
  const Floats8 eight = fold(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
                             __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
  return fold(__builtin_shufflevector(eight, eight, 0, 1, 2, 3),
              __builtin_shufflevector(eight, eight, 4, 5, 6, 7));
#elif FOVEA_SIMD_LANES == 8
  return fold(__builtin_shufflevector(v, v, 0, 1, 2, 3), __builtin_shufflevector(v, v, 4, 5, 6, 7));
#else
  (void)fold;
  return v;
#endif
}

/// The sum of all lanes.
FOVEA_INLINE float hsum(Floats v) {
  const Floats4 s = fold_to_four(v, [](auto a, auto b) { return a + b; });
  return (s[0] + s[2]) + (s[1] + s[3]);
}
/// The largest lane; a NaN may or may not win.
FOVEA_INLINE float hmax(Floats v) {
  const Floats4 s = fold_to_four(v, [](auto a, auto b) { return a > b ? a : b; });
  const float x = s[0] > s[2] ? s[0] : s[2];
  const float y = s[1] > s[3] ? s[1] : s[3];
  return x > y ? x : y;
}

/// Whether any lane, or all lanes, of a mask are on.
FOVEA_INLINE bool any(Ints mask) {
#if defined(FOVEA_SIMD_AVX512)
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask)) != 0;
#elif defined(FOVEA_SIMD_AVX2)
  return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0;
#elif defined(FOVEA_SIMD_SSE2)
  return _mm_movemask_ps(reinterpret_cast<__m128>(mask)) != 0;
#else
  int32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= mask[i];
  return bits != 0;
#endif
}
FOVEA_INLINE bool all(Ints mask) { return !any(~mask); }

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
