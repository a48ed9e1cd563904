// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include <fovea/dtype.h>

/// simd.h and microkernel.h of each instruction set, as functions over arrays that tests can call.
/// Kernel sources include this: no standard library.
namespace fovea::cpu {

enum class Unary : uint8_t {
  exp2,
  exp,
  log,
  log2,
  tanh,
  sigmoid,
  sqrt,
  absolute,
  round,
  floor,
  ceil,
  trunc,
  truncate_to_int
};
enum class Binary : uint8_t { min, max, min_or_nan, max_or_nan, copysign, less };

struct SimdEntry {
  int lanes = 0;
  // Arrays of `lanes` elements.
  void (*unary)(Unary f, const float* x, float* out) = nullptr;
  void (*binary)(Binary f, const float* a, const float* b, float* out) = nullptr;  // less: -1 or 0
  void (*fma)(const float* a, const float* b, const float* c, float* out) = nullptr;
  void (*select)(const int32_t* mask, const float* a, const float* b, float* out) = nullptr;
  void (*gather)(const float* base, const int32_t* index, const int32_t* mask,
                 float* out) = nullptr;
  void (*transpose)(float* square) = nullptr;  // lanes x lanes
  float (*hsum)(const float* x) = nullptr;
  float (*hmax)(const float* x) = nullptr;
  bool (*any)(const int32_t* mask) = nullptr;
  bool (*all)(const int32_t* mask) = nullptr;
  void (*load_partial)(const float* from, int64_t count, float* out) = nullptr;
  void (*store_partial)(const float* x, int64_t count, float* to) = nullptr;

  // simd_half.h; count 0..lanes, the others of `out` are 0
  void (*widen)(DType dtype, const void* from, int64_t count, float* out) = nullptr;
  void (*round_to)(DType dtype, const float* x, int64_t count, void* to) = nullptr;
  void (*dot_pairs)(const int32_t* a, const int32_t* b, const float* sum, float* out) = nullptr;
  void (*store_pairs)(const float* first, const float* second, void* to) = nullptr;
  void (*load_pairs)(const void* from, int64_t elements, int32_t* out) = nullptr;
  void (*zip_pairs)(const void* lower, const void* upper, int32_t* out) = nullptr;

  // microkernel.h
  int block_columns = 0;
  void (*multiply)(bool add, int64_t rows, int64_t k, int64_t first_vector, int64_t vectors,
                   const float* a, int64_t a_row, int64_t a_k, const float* b, int64_t b_k,
                   int64_t b_panel, float* c, int64_t c_row) = nullptr;
};

}  // namespace fovea::cpu
