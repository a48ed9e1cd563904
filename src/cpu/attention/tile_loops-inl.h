// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/tile_code.h"
#include "cpu/simd.h"

/// The loops of the tile machine: one vector operation over the rows of a chunk. Every operand is a
/// pointer with a row stride and a step, so that one loop serves scalars (steps of 0 over a vector
/// of copies), rows, columns, diagonals (a row stride of -1) and tiles alike.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

#if defined(__clang__)
#define FOVEA_UNROLL _Pragma("clang loop unroll_count(4)")
#else
#define FOVEA_UNROLL _Pragma("GCC unroll 4")
#endif

struct TileView {
  float* data;
  int64_t row;   // elements from one row to the next
  int64_t step;  // elements from one vector to the next: kLanes, or 0 where all lanes are one value

  float* at(int64_t i) const { return data + i * row; }
  int32_t* ints_at(int64_t i) const { return reinterpret_cast<int32_t*>(data + i * row); }
};

/// What an instruction runs over. Lanes beyond n, up to the next whole vector, are computed too
/// (their memory belongs to the machine) but never looked at.
struct TileJob {
  int64_t rows;
  int64_t n;
  TileView dest;
  TileView args[kMaxTileOperands];
};

template <class V>
FOVEA_INLINE V load_as(const float* p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
FOVEA_INLINE void store_as(float* p, const V& v) {
  memcpy(p, &v, sizeof v);
}

// A, B, ... are the vector types in which the operands are read. The result may lie where an
// operand does: lane j of a row depends on lane j of the operands alone.
template <class A, class F>
__attribute__((noinline)) void map1(const TileJob& job, F f) {
  const int64_t n = job.n, step_a = job.args[0].step;
  for (int64_t i = 0; i < job.rows; ++i) {
    float* d = job.dest.at(i);
    const float* a = job.args[0].at(i);
    FOVEA_UNROLL for (int64_t j = 0; j < n; j += kLanes) {
      store_as(d + j, f(load_as<A>(a)));
      a += step_a;
    }
  }
}

template <class A, class B, class F>
__attribute__((noinline)) void map2(const TileJob& job, F f) {
  const int64_t n = job.n;
  const int64_t step_a = job.args[0].step, step_b = job.args[1].step;
  for (int64_t i = 0; i < job.rows; ++i) {
    float* d = job.dest.at(i);
    const float* a = job.args[0].at(i);
    const float* b = job.args[1].at(i);
    FOVEA_UNROLL for (int64_t j = 0; j < n; j += kLanes) {
      store_as(d + j, f(load_as<A>(a), load_as<B>(b)));
      a += step_a;
      b += step_b;
    }
  }
}

template <class A, class B, class C, class F>
__attribute__((noinline)) void map3(const TileJob& job, F f) {
  const int64_t n = job.n;
  const int64_t step_a = job.args[0].step, step_b = job.args[1].step, step_c = job.args[2].step;
  for (int64_t i = 0; i < job.rows; ++i) {
    float* d = job.dest.at(i);
    const float* a = job.args[0].at(i);
    const float* b = job.args[1].at(i);
    const float* c = job.args[2].at(i);
    FOVEA_UNROLL for (int64_t j = 0; j < n; j += kLanes) {
      store_as(d + j, f(load_as<A>(a), load_as<B>(b), load_as<C>(c)));
      a += step_a;
      b += step_b;
      c += step_c;
    }
  }
}

/// test(a, b) ? x : y
template <class A, class F>
__attribute__((noinline)) void select2(const TileJob& job, F test) {
  const int64_t n = job.n;
  const int64_t step_a = job.args[0].step, step_b = job.args[1].step;
  const int64_t step_x = job.args[2].step, step_y = job.args[3].step;
  for (int64_t i = 0; i < job.rows; ++i) {
    float* d = job.dest.at(i);
    const float* a = job.args[0].at(i);
    const float* b = job.args[1].at(i);
    const float* x = job.args[2].at(i);
    const float* y = job.args[3].at(i);
    FOVEA_UNROLL for (int64_t j = 0; j < n; j += kLanes) {
      const Ints mask = test(load_as<A>(a), load_as<A>(b));
      store_as(d + j, select(mask, load_as<Floats>(x), load_as<Floats>(y)));
      a += step_a;
      b += step_b;
      x += step_x;
      y += step_y;
    }
  }
}

/// test(a, b, c) ? x : y
template <class A, class F>
__attribute__((noinline)) void select3(const TileJob& job, F test) {
  const int64_t n = job.n;
  const int64_t step_a = job.args[0].step, step_b = job.args[1].step, step_c = job.args[2].step;
  const int64_t step_x = job.args[3].step, step_y = job.args[4].step;
  for (int64_t i = 0; i < job.rows; ++i) {
    float* d = job.dest.at(i);
    const float* a = job.args[0].at(i);
    const float* b = job.args[1].at(i);
    const float* c = job.args[2].at(i);
    const float* x = job.args[3].at(i);
    const float* y = job.args[4].at(i);
    FOVEA_UNROLL for (int64_t j = 0; j < n; j += kLanes) {
      const Ints mask = test(load_as<A>(a), load_as<A>(b), load_as<A>(c));
      store_as(d + j, select(mask, load_as<Floats>(x), load_as<Floats>(y)));
      a += step_a;
      b += step_b;
      c += step_c;
      x += step_x;
      y += step_y;
    }
  }
}

inline void copy_row(float* d, const TileView& from, int64_t i, int64_t n) {
  const float* a = from.at(i);
  if (a == d) return;
  for (int64_t j = 0; j < n; j += kLanes) {
    store_as(d + j, load_as<Floats>(a));
    a += from.step;
  }
}

/// condition ? x : y. A condition of the row alone decides a row at once.
__attribute__((noinline)) inline void select_lanes(const TileJob& job) {
  if (job.args[0].step != 0) {
    map3<Ints, Floats, Floats>(job, [](Ints c, Floats x, Floats y) { return select(c, x, y); });
    return;
  }
  for (int64_t i = 0; i < job.rows; ++i) {
    const bool first = *job.args[0].ints_at(i) != 0;
    copy_row(job.dest.at(i), job.args[first ? 1 : 2], i, job.n);
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
