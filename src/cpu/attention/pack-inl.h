// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpu/attention/kernels.h"
#include "cpu/attention/rows-inl.h"
#include "cpu/microkernel.h"
#include "cpu/transpose.h"

/// Keys and values are rearranged once a head into the panels that the microkernel reads: keys
/// transposed, values as they are, both kBlockColumns wide and padded with zeros. bf16 and f16 are widened
/// to f32, unless kernels multiply pairs of bf16: then keys are transposed by pairs of columns, and
/// values interleaved by pairs of keys. For kernel sources only, as simd.h.
namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {  // NOLINT: internal linkage, as simd.h

/// What of a key row becomes one row of a panel: an element, widened.
template <class Element>
struct KeyElements {
  static constexpr int kCount = 1;
  static Floats load_row(const Element* at, int64_t count) {
    return count >= kLanes ? load(at) : load_partial(at, count);
  }
  static float load_word(const Element* at, int64_t, int64_t) { return load_one(at); }
  static Floats add_squares(Floats word, Floats sum) { return fma(word, word, sum); }
};

/// The same: two elements of bf16.
struct KeyPairs {
  static constexpr int kCount = 2;
  static Floats load_row(const BFloat16* at, int64_t count) {
    return as_floats(load_pairs(at, count < 2 * kLanes ? count : 2 * kLanes));
  }
  static float load_word(const BFloat16* at, int64_t column, int64_t count) {
    const uint32_t word = at[0].bits | (count > 1 ? uint32_t{at[column].bits} << 16 : 0);
    float bits;
    memcpy(&bits, &word, sizeof bits);
    return bits;
  }
  static Floats add_squares(Floats word, Floats sum) {
    const Floats low = as_floats(as_ints(word) << 16);
    const Floats high = as_floats(as_ints(word) & broadcast(static_cast<int32_t>(0xffff0000)));
    return fma(low, low, fma(high, high, sum));
  }
};

/// One vector of keys (`keys` of them, the rest 0), all columns: to[word * kBlockColumns + lane].
/// The elements of a row lie together: squares are transposed.
template <class Words, class Element>
inline void pack_key_rows(const Element* const* rows, int64_t keys, int64_t width, float* to) {
  constexpr int64_t kStep = kLanes * Words::kCount;
  for (int64_t column = 0; column < width; column += kStep) {
    const int64_t left = width - column;
    Square square = {};
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      if (i < keys) square.row[i] = Words::load_row(rows[i] + column, left);
    }
    transpose(square);
    const int64_t words = left >= kStep ? kLanes : (left + Words::kCount - 1) / Words::kCount;
    for (int64_t j = 0; j < words; ++j, to += kBlockColumns) store(to, square.row[j]);
  }
}

/// The same for any strides.
template <class Words, class Element>
inline void pack_key_columns(const Element* const* rows, int64_t column, int64_t keys,
                             int64_t width, float* to) {
  for (int64_t j = 0; j < width; j += Words::kCount, to += kBlockColumns) {
    for (int64_t i = 0; i < kLanes; ++i) {
      to[i] = i < keys ? Words::load_word(rows[i] + j * column, column, width - j) : 0.0f;
    }
  }
}

/// The same for keys that lie together (a transposed tensor).
template <class Element>
inline void copy_key_columns(const Element* from, int64_t column, int64_t keys, int64_t width,
                             float* to) {
  for (int64_t j = 0; j < width; ++j, from += column, to += kBlockColumns) {
    store(to, keys == kLanes ? load(from) : load_partial(from, keys));
  }
}

/// The largest Euclidean norm of the keys of a packed panel; infinite if one is not finite.
template <class Words>
inline float largest_norm(const float* panel, int64_t words) {
  Floats squares[kBlockVectors] = {};
  for (int64_t k = 0; k < words; ++k, panel += kBlockColumns) {
#pragma GCC unroll 4
    for (int j = 0; j < kBlockVectors; ++j) {
      squares[j] = Words::add_squares(load(panel + j * kLanes), squares[j]);
    }
  }
  Floats largest = {};
  for (int j = 0; j < kBlockVectors; ++j) {
    if (any(~(squares[j] < kInfinity))) return kInfinity;
    largest = max(largest, squares[j]);
  }
  return __builtin_sqrtf(hmax(largest));
}

template <class Words, class Element>
inline void pack_keys_of(const PackJob& job, const Element* data) {
  const int64_t words = (job.width + Words::kCount - 1) / Words::kCount;
  const bool transposed = job.rows.row == 1 && job.column != 1 && job.rows.pages.data == nullptr;
  for (int64_t key = job.first; key < job.last; key += kBlockColumns) {
    float* panel = static_cast<float*>(job.to) + key / kBlockColumns * (words * kBlockColumns);
    for (int64_t inside = 0; inside < kBlockColumns; inside += kLanes) {
      const int64_t first = key + inside, left = job.length - first;
      const int64_t keys = left < 0 ? 0 : left < kLanes ? left : kLanes;
      if (Words::kCount == 1 && transposed) {
        copy_key_columns(data + first, job.column, keys, job.width, panel + inside);
        continue;
      }
      const Element* rows[kLanes] = {};
      rows_of_keys(job.rows, data, first, keys, rows);
      if (job.column == 1) {
        pack_key_rows<Words>(rows, keys, job.width, panel + inside);
      } else {
        pack_key_columns<Words>(rows, job.column, keys, job.width, panel + inside);
      }
    }
    if (job.norms == nullptr) continue;
    float& norm = job.norms[key / kFiniteChunk];
    const float here = largest_norm<Words>(panel, words);
    if (key % kFiniteChunk == 0 || here > norm) norm = here;
  }
}

void pack_keys(const PackJob& job) {
#if FOVEA_SIMD_PAIRS
  if (job.pairs) return pack_keys_of<KeyPairs>(job, static_cast<const BFloat16*>(job.rows.from));
#endif
  with_elements(job.rows.dtype, job.rows.from, [&]<class Element>(const Element* data) {
    pack_keys_of<KeyElements<Element>>(job, data);
  });
}

/// Columns [column, column + kLanes) of one row; 0 beyond the width.
template <class Element>
FOVEA_INLINE Floats value_vector(const PackJob& job, const Element* row, int64_t column) {
  const int64_t left = job.width - column;
  if (left <= 0) return Floats{};
  const Element* at = row + column * job.column;
  if (job.column == 1) return left >= kLanes ? load(at) : load_partial(at, left);
  Floats v = {};
  for (int i = 0; i < kLanes; ++i) {
    if (i < left) v[i] = load_one(at + i * job.column);
  }
  return v;
}

/// One panel of keys [first, last), whose rows these are. Gives 0 in each lane if all values are finite:
/// x * 0 is 0 for them.
template <bool kWhole, bool kCopy, class Element>
inline Floats pack_value_panel(const PackJob& job, const Element* const* rows, int64_t panel,
                               int64_t first, int64_t last) {
  float* to =
      kCopy ? static_cast<float*>(job.to) + (panel * job.length + first) * kBlockColumns : nullptr;
  Floats check[kBlockVectors] = {};
  for (int64_t key = 0; key < last - first; ++key) {
    const Element* row = rows[key];
#pragma GCC unroll 4
    for (int j = 0; j < kBlockVectors; ++j) {
      const int64_t column = panel * kBlockColumns + j * kLanes;
      const Floats v = kWhole ? load(row + column) : value_vector(job, row, column);
      check[j] = fma(v, Floats{}, check[j]);
      if constexpr (kCopy) store(to + j * kLanes, v);
    }
    if constexpr (kCopy) to += kBlockColumns;
  }
  Floats total = check[0];
#pragma GCC unroll 4
  for (int j = 1; j < kBlockVectors; ++j) total += check[j];
  return total;
}

#if FOVEA_SIMD_PAIRS
/// The same for pairs of keys; `first` is even. The pair of an odd last key is completed by zeros.
template <bool kWhole>
inline Floats pack_value_pairs(const PackJob& job, const BFloat16* const* rows, int64_t panel,
                               int64_t first, int64_t last) {
  const int64_t pairs = (job.length + 1) / 2;
  int32_t* to = static_cast<int32_t*>(job.to) + (panel * pairs + first / 2) * kBlockColumns;
  Floats check = {};
  for (int64_t key = 0; key < last - first; key += 2, to += kBlockColumns) {
    for (int j = 0; j < kBlockVectors; ++j) {
      const int64_t column = panel * kBlockColumns + j * kLanes;
      Halves half[2] = {};
      for (int i = 0; i < 2 && key + i < last - first; ++i) {
        const BFloat16* at = rows[key + i];
        half[i] = kWhole ? load_halves(at + column) : round_bf16(value_vector(job, at, column));
        check = fma(widen_bf16(half[i]), Floats{}, check);
      }
      store(to + j * kLanes, zip_pairs(half[0], half[1]));
    }
  }
  return check;
}
#endif

/// Values by panels of columns: [panel][key][kBlockColumns]. Notes the chunks of keys that hold an
/// infinity or a NaN.
template <class Element, class PackPanel>
inline void pack_value_chunks(const PackJob& job, const Element* data, PackPanel pack_panel) {
  const int64_t panels = (job.width + kBlockColumns - 1) / kBlockColumns;
  for (int64_t first = job.first; first < job.last; first += kFiniteChunk) {
    const int64_t last = job.last - first < kFiniteChunk ? job.last : first + kFiniteChunk;
    const Element* rows[kFiniteChunk];
    rows_of_keys(job.rows, data, first, last - first, rows);
    Floats check = {};
    for (int64_t panel = 0; panel < panels; ++panel) {
      const bool whole = job.column == 1 && (panel + 1) * kBlockColumns <= job.width;
      check += pack_panel(whole, rows, panel, first, last);
    }
    job.not_finite[first / kFiniteChunk] = any(check != 0.0f) ? 1 : 0;
  }
}

void pack_values(const PackJob& job) {
#if FOVEA_SIMD_PAIRS
  if (job.pairs) {
    return pack_value_chunks(
        job, static_cast<const BFloat16*>(job.rows.from),
        [&](bool whole, const auto* rows, int64_t panel, int64_t first, int64_t last) {
          return whole ? pack_value_pairs<true>(job, rows, panel, first, last)
                       : pack_value_pairs<false>(job, rows, panel, first, last);
        });
  }
#endif
  with_elements(job.rows.dtype, job.rows.from, [&](const auto* data) {
    pack_value_chunks(
        job, data, [&](bool whole, const auto* rows, int64_t panel, int64_t first, int64_t last) {
          if (job.to == nullptr) {
            return whole ? pack_value_panel<true, false>(job, rows, panel, first, last)
                         : pack_value_panel<false, false>(job, rows, panel, first, last);
          }
          return whole ? pack_value_panel<true, true>(job, rows, panel, first, last)
                       : pack_value_panel<false, true>(job, rows, panel, first, last);
        });
  });
}

}  // namespace
}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
