// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/tile_loops-inl.h"
#include "cpu/attention/tile_table-inl.h"
#include "cpu/simd.h"

/// Reading captured tensors. Safe for any index: a lane whose index lies outside the tensor reads
/// no memory and gives NaN, 0 or false. Indices that are the same for a whole row are added up once
/// a row, in 64 bits; offsets of the others are 32-bit lanes where the tensor allows it.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// An index of a gather along one dimension.
struct GatherIndex {
  TileView view;
  int64_t size, stride;
  bool consecutive;

  int64_t at(int64_t row, int64_t lane) const { return view.ints_at(row)[lane]; }
};

/// A gather: what a TileInstruction says, resolved. Indices that are the same for a whole row are
/// kept apart from those that vary.
struct GatherJob {
  const void* data;
  int64_t rows, n;
  TileView dest;
  int fixed_count, varying_count;
  GatherIndex fixed[TileCapture::kMaxRank];
  GatherIndex varying[TileCapture::kMaxRank];
};

/// The element that the fixed indices of a row lead to; false if one is outside.
FOVEA_INLINE bool find_row(const GatherJob& job, int64_t i, int64_t* offset) {
  *offset = 0;
  for (int k = 0; k < job.fixed_count; ++k) {
    const GatherIndex& index = job.fixed[k];
    const int64_t at = index.at(i, 0);
    if (at < 0 || at >= index.size) return false;
    *offset += at * index.stride;
  }
  return true;
}

// ---- one vector of elements, as the lanes that a program computes with --------------------------

template <class T>
struct StoredVector {
  typedef T Type __attribute__((vector_size(kLanes * sizeof(T))));
};

template <class T>
FOVEA_INLINE Ints widen(const T* lanes) {
  typename StoredVector<T>::Type v;
  memcpy(&v, lanes, sizeof v);
  return __builtin_convertvector(v, Ints);
}

struct LoadF32 {
  typedef uint32_t Element;
  static Ints lanes(const Element* p) { return widen(p); }
};
struct LoadF64 {
  typedef double Element;
  static Ints lanes(const Element* p) {
    typename StoredVector<double>::Type v;
    memcpy(&v, p, sizeof v);
    return as_ints(__builtin_convertvector(v, Floats));
  }
};
struct LoadBF16 {
  typedef uint16_t Element;
  static Ints lanes(const Element* p) { return widen(p) << 16; }
};
struct LoadF16 {
  typedef uint16_t Element;
  // Exponent and mantissa moved to their places, then 2^112 makes up for the smaller bias. That is
  // right for denormals too; infinity and NaN get the largest exponent.
  static Ints lanes(const Element* p) {
    const Ints bits = widen(p);
    const Ints magnitude = (bits & 0x7fff) << 13;
    const Floats scaled = as_floats(magnitude) * 0x1p112f;
    const Ints special = (magnitude >= 0x0f800000) & 0x7f800000;
    return as_ints(scaled) | special | ((bits & 0x8000) << 16);
  }
};
template <class T>
struct LoadInteger {
  typedef T Element;
  static Ints lanes(const Element* p) { return widen(p); }
};
struct LoadBool {
  typedef uint8_t Element;
  static Ints lanes(const Element* p) { return widen(p) != 0; }
};

// ---- rows --------------------------------------------------------------------------------------

/// Where the row's elements begin if they lie one after another and all inside, else -1.
FOVEA_INLINE int64_t plain_start(const GatherJob& job, int64_t i) {
  const GatherIndex& index = job.varying[0];
  if (job.varying_count != 1 || !index.consecutive || index.stride != 1) return -1;
  const int64_t start = index.at(i, 0);
  return start >= 0 && start + job.n <= index.size ? start : -1;
}

template <class Load>
void plain_row(float* d, const typename Load::Element* from, int64_t n) {
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) store_as(d + j, Load::lanes(from + j));
  if (j == n) return;
  typename Load::Element rest[kLanes] = {};
  memcpy(rest, from + j, static_cast<size_t>(n - j) * sizeof rest[0]);
  store_as(d + j, Load::lanes(rest));
}

template <class Load>
void fixed_row(float* d, const typename Load::Element* from, int64_t n) {
  typename Load::Element one[kLanes] = {};
  one[0] = *from;
  const Ints lanes = broadcast(Load::lanes(one)[0]);
  for (int64_t j = 0; j < n; j += kLanes) store_as(d + j, lanes);
}

/// Any dtype, any number of varying indices, 64-bit offsets: lane by lane.
template <class Load>
void scattered_row(const GatherJob& job, int64_t i, const typename Load::Element* base,
                   Ints outside) {
  float* d = job.dest.at(i);
  for (int64_t j = 0; j < job.n; j += kLanes) {
    typename Load::Element lanes[kLanes] = {};
    Ints inside = {};
    for (int lane = 0; lane < kLanes && j + lane < job.n; ++lane) {
      int64_t offset = 0;
      bool ok = true;
      for (int k = 0; ok && k < job.varying_count; ++k) {
        const int64_t at = job.varying[k].at(i, j + lane);
        ok = at >= 0 && at < job.varying[k].size;
        if (ok) offset += at * job.varying[k].stride;
      }
      if (!ok) continue;
      lanes[lane] = base[offset];
      inside[lane] = -1;
    }
    store_as(d + j, select(inside, Load::lanes(lanes), outside));
  }
}

FOVEA_INLINE Ints inside_of(Ints at, Ints last) { return (at >= 0) & (at <= last); }

/// 32-bit words at 32-bit offsets: the machine's own gather. `scale` words lie from one element to
/// the next.
void word_row(const GatherJob& job, int64_t i, const int32_t* base, int32_t scale, Ints outside) {
  float* d = job.dest.at(i);
  const GatherIndex& a = job.varying[0];
  const Ints last_a = broadcast(static_cast<int32_t>(a.size - 1));
  const Ints stride_a = broadcast(static_cast<int32_t>(a.stride) * scale);
  const int32_t* from_a = a.view.ints_at(i);
  if (job.varying_count == 1) {
    for (int64_t j = 0; j < job.n; j += kLanes) {
      const Ints at = load(from_a + j);
      const Ints inside = inside_of(at, last_a);
      store_as(d + j, select(inside, gather(base, (at & inside) * stride_a, inside), outside));
    }
    return;
  }
  const GatherIndex& b = job.varying[1];
  const Ints last_b = broadcast(static_cast<int32_t>(b.size - 1));
  const Ints stride_b = broadcast(static_cast<int32_t>(b.stride) * scale);
  const int32_t* from_b = b.view.ints_at(i);
  for (int64_t j = 0; j < job.n; j += kLanes) {
    const Ints at_a = load(from_a + j), at_b = load(from_b + j);
    const Ints inside = inside_of(at_a, last_a) & inside_of(at_b, last_b);
    const Ints offset = (at_a & inside) * stride_a + (at_b & inside) * stride_b;
    store_as(d + j, select(inside, gather(base, offset, inside), outside));
  }
}

/// The same with the whole dimension in registers.
void table_row(const GatherJob& job, int64_t i, const float* base, Ints outside) {
  const GatherIndex& index = job.varying[0];
  const SmallTable table(base, index.size);
  const Ints last = broadcast(static_cast<int32_t>(index.size - 1));
  const int32_t* from = index.view.ints_at(i);
  float* d = job.dest.at(i);
  for (int64_t j = 0; j < job.n; j += kLanes) {
    const Ints at = load(from + j);
    store_as(d + j, select(inside_of(at, last), as_ints(table.at(at)), outside));
  }
}

bool fits_table(const GatherJob& job) {
  return job.varying_count == 1 && job.varying[0].stride == 1 && job.varying[0].size <= kTableWords;
}

bool has_small_offsets(const GatherJob& job, int64_t scale) {
  if (job.varying_count < 1 || job.varying_count > 2) return false;
  constexpr int64_t kLimit = INT32_MAX;
  int64_t span = 0;
  for (int k = 0; k < job.varying_count; ++k) {
    const int64_t size = job.varying[k].size;
    int64_t stride = job.varying[k].stride;
    if (stride < 0) stride = -stride;
    if (size < 1 || size > kLimit || stride > kLimit / size / scale) return false;
    span += (size - 1) * stride * scale;
  }
  return span <= kLimit;
}

/// words_per_element: how many 32-bit words an element takes if its first word is what a program
/// reads, else 0.
template <class Load>
__attribute__((noinline)) void gather_rows(const GatherJob& job, int words_per_element,
                                           int32_t outside_bits) {
  const Ints outside = broadcast(outside_bits);
  const bool by_words = words_per_element > 0 && has_small_offsets(job, words_per_element);
  const bool by_table = words_per_element == 1 && by_words && fits_table(job);
  for (int64_t i = 0; i < job.rows; ++i) {
    float* d = job.dest.at(i);
    int64_t offset = 0;
    if (!find_row(job, i, &offset)) {
      for (int64_t j = 0; j < job.n; j += kLanes) store_as(d + j, outside);
      continue;
    }
    const auto* base = static_cast<const typename Load::Element*>(job.data) + offset;
    if (job.varying_count == 0) {
      fixed_row<Load>(d, base, job.n);
    } else if (const int64_t start = plain_start(job, i); start >= 0) {
      plain_row<Load>(d, base + start, job.n);
    } else if (by_table) {
      table_row(job, i, reinterpret_cast<const float*>(base), outside);
    } else if (by_words) {
      word_row(job, i, reinterpret_cast<const int32_t*>(base), words_per_element, outside);
    } else {
      scattered_row<Load>(job, i, base, outside);
    }
  }
}

inline void run_gather(DType dtype, const GatherJob& job) {
  const int32_t nan = as_ints(broadcast(__builtin_nanf("")))[0];
  constexpr int kLowWordFirst = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 2 : 0;
  switch (dtype) {
    case DType::f64: return gather_rows<LoadF64>(job, 0, nan);
    case DType::f32: return gather_rows<LoadF32>(job, 1, nan);
    case DType::bf16: return gather_rows<LoadBF16>(job, 0, nan);
    case DType::f16: return gather_rows<LoadF16>(job, 0, nan);
    case DType::i64: return gather_rows<LoadInteger<int64_t>>(job, kLowWordFirst, 0);
    case DType::i32: return gather_rows<LoadInteger<int32_t>>(job, 1, 0);
    case DType::i16: return gather_rows<LoadInteger<int16_t>>(job, 0, 0);
    case DType::i8: return gather_rows<LoadInteger<int8_t>>(job, 0, 0);
    case DType::u8: return gather_rows<LoadInteger<uint8_t>>(job, 0, 0);
    case DType::boolean: return gather_rows<LoadBool>(job, 0, 0);
  }
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
