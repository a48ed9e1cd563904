// SPDX-License-Identifier: Apache-2.0
#include "analysis/range_table.h"

#include <bit>
#include <memory>
#include <optional>
#include <type_traits>

#include "program/read.h"

namespace fovea::analysis {
namespace {

// Calls body(first_offset, stride, count) for runs of positions at a constant stride.
template <class F>
void for_each_run(const TensorView& tensor, int64_t first, int64_t last, F&& body) {
  const int rank = tensor.rank();
  if (rank <= 1 || tensor.is_contiguous()) {
    const int64_t stride = rank == 1 ? tensor.stride(0) : 1;
    body(first * stride, stride, last - first + 1);
    return;
  }
  const int64_t inner = tensor.size(rank - 1);
  const int64_t stride = tensor.stride(rank - 1);
  for (int64_t position = first; position <= last;) {
    int64_t outer = position / inner;
    const int64_t column = position % inner;
    int64_t offset = column * stride;
    for (int d = rank - 2; d >= 0; --d) {
      offset += (outer % tensor.size(d)) * tensor.stride(d);
      outer /= tensor.size(d);
    }
    const int64_t count = std::min(inner - column, last - position + 1);
    body(offset, stride, count);
    position += count;
  }
}

IntSummary merge(const IntSummary& a, const IntSummary& b) {
  IntSummary both{std::min(a.lo, b.lo), std::max(a.hi, b.hi), a.set};
  both.set.add(b.set);
  return both;
}
FloatRange merge(FloatRange a, FloatRange b) { return interval::hull(a, b); }

template <class T>
constexpr bool kIsFloat = std::is_same_v<decltype(program::widen(T{})), double>;

// Min and max in the element type itself, so that the loop vectorises.
template <class T>
void widen_range(const T* p, int64_t stride, int64_t count, T& lo, T& hi) {
  if (stride == 1) {
    for (int64_t i = 0; i < count; ++i) {
      lo = std::min(lo, p[i]);
      hi = std::max(hi, p[i]);
    }
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    lo = std::min(lo, p[i * stride]);
    hi = std::max(hi, p[i * stride]);
  }
}

void scan_into(const TensorView& tensor, int64_t first, int64_t last, IntSummary& summary) {
  summary = {.lo = kUnbounded, .hi = -kUnbounded, .set = {}};
  program::with_elements(tensor, [&](const auto* data) {
    using T = std::remove_cvref_t<decltype(*data)>;
    for_each_run(tensor, first, last, [&](int64_t offset, int64_t stride, int64_t count) {
      if constexpr (!kIsFloat<T>) {
        int64_t previous = 0;
        for (int64_t i = 0; i < count; ++i) {
          const auto value = static_cast<int64_t>(program::widen(data[offset + i * stride]));
          summary.lo = std::min(summary.lo, value);
          summary.hi = std::max(summary.hi, value);
          if (i == 0 || value != previous) summary.set.add(value);
          previous = value;
        }
      }
    });
  });
  const IntRange range = interval::bounded(summary.lo, summary.hi);
  summary.lo = range.lo;
  summary.hi = range.hi;
}

void scan_into(const TensorView& tensor, int64_t first, int64_t last, FloatRange& summary) {
  summary = scan_floats(tensor, first, last);
}

}  // namespace

int64_t load_int(const TensorView& tensor, int64_t offset) {
  return program::with_elements(tensor, [offset](const auto* data) {
    return static_cast<int64_t>(program::widen(data[offset]));
  });
}

std::vector<int64_t> load_ints(const TensorView& tensor) {
  std::vector<int64_t> all;
  all.reserve(static_cast<std::size_t>(tensor.numel()));
  program::with_elements(tensor, [&](const auto* data) {
    for_each_run(tensor, 0, tensor.numel() - 1, [&](int64_t offset, int64_t stride, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        all.push_back(static_cast<int64_t>(program::widen(data[offset + i * stride])));
      }
    });
  });
  return all;
}

double load_float(const TensorView& tensor, int64_t offset) {
  return program::with_elements(tensor, [offset](const auto* data) {
    return static_cast<double>(program::widen(data[offset]));
  });
}

IntRange scan_ints(const TensorView& tensor, int64_t first, int64_t last) {
  return program::with_elements(tensor, [&](const auto* data) {
    using T = std::remove_cvref_t<decltype(*data)>;
    if constexpr (std::is_integral_v<T>) {
      T lo = std::numeric_limits<T>::max();
      T hi = std::numeric_limits<T>::lowest();
      for_each_run(tensor, first, last, [&](int64_t offset, int64_t stride, int64_t count) {
        widen_range(data + offset, stride, count, lo, hi);
      });
      return interval::bounded(static_cast<int64_t>(lo), static_cast<int64_t>(hi));
    } else {
      IntSummary summary;
      scan_into(tensor, first, last, summary);
      return summary.range();
    }
  });
}

FloatRange scan_floats(const TensorView& tensor, int64_t first, int64_t last) {
  FloatRange range{interval::kInfinity, -interval::kInfinity, false};
  program::with_elements(tensor, [&](const auto* data) {
    for_each_run(tensor, first, last, [&](int64_t offset, int64_t stride, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        const auto value = static_cast<double>(program::widen(data[offset + i * stride]));
        range.nan |= std::isnan(value);
        range.lo = std::min(range.lo, value);  // a NaN leaves them as they are
        range.hi = std::max(range.hi, value);
      }
    });
  });
  return range;
}

template <class Summary>
Pyramid<Summary>::Pyramid(const TensorView& tensor) : tensor_(tensor) {
  const int64_t n = tensor.numel();
  const int64_t group = int64_t{1} << kGroupBits;
  std::vector<Summary> level;
  level.reserve(static_cast<std::size_t>((n + group - 1) / group));
  for (int64_t first = 0; first < n; first += group) {
    level.push_back(scan(first, std::min(first + group, n) - 1));
  }
  while (level.size() > 1) {
    std::vector<Summary> next;
    next.reserve((level.size() + 1) / 2);
    for (std::size_t i = 0; i < level.size(); i += 2) {
      next.push_back(i + 1 < level.size() ? merge(level[i], level[i + 1]) : level[i]);
    }
    levels_.push_back(std::move(level));
    level = std::move(next);
  }
  levels_.push_back(std::move(level));
}

template <class Summary>
Summary Pyramid<Summary>::scan(int64_t first, int64_t last) const {
  Summary summary;
  scan_into(tensor_, first, last, summary);
  return summary;
}

template <class Summary>
Summary Pyramid<Summary>::query(int64_t first, int64_t last) const {
  constexpr int64_t kMask = (int64_t{1} << kGroupBits) - 1;
  // Whole groups [begin, end); the tensor's last group counts as whole if the interval ends there.
  auto begin = static_cast<uint64_t>((first + kMask) >> kGroupBits);
  const bool to_the_end = last + 1 == tensor_.numel();
  auto end = static_cast<uint64_t>((last + 1 + (to_the_end ? kMask : 0)) >> kGroupBits);
  if (begin >= end) return scan(first, last);

  const auto left = static_cast<int64_t>(begin << kGroupBits);
  const auto right = static_cast<int64_t>(end << kGroupBits);
  std::optional<Summary> range;
  const auto take = [&](const Summary& part) { range = range ? merge(*range, part) : part; };
  if (first < left) take(scan(first, left - 1));
  if (right <= last) take(scan(right, last));
  std::size_t level = 0;
  while (begin < end) {
    const int skip = std::countr_zero(begin | end);
    level += static_cast<std::size_t>(skip);
    begin >>= skip;
    end >>= skip;
    if ((begin & 1) != 0) take(levels_[level][begin++]);
    if ((end & 1) != 0) take(levels_[level][--end]);
  }
  return *range;
}

template class Pyramid<IntSummary>;
template class Pyramid<FloatRange>;

struct RangeTables::Entry {
  TensorView tensor;
  std::unique_ptr<std::once_flag> once = std::make_unique<std::once_flag>();
  std::unique_ptr<std::once_flag> values_once = std::make_unique<std::once_flag>();
  std::unique_ptr<const Pyramid<IntSummary>> ints;
  std::unique_ptr<const Pyramid<FloatRange>> floats;
  std::unique_ptr<const ValueIndex> values;
};

RangeTables::RangeTables(std::span<const TensorView> captures) {
  entries_.resize(captures.size());
  for (std::size_t i = 0; i < captures.size(); ++i) entries_[i].tensor = captures[i];
}

RangeTables::~RangeTables() = default;

const Pyramid<IntSummary>& RangeTables::ints(int32_t slot) {
  Entry& entry = entries_[static_cast<std::size_t>(slot)];
  std::call_once(*entry.once,
                 [&] { entry.ints = std::make_unique<Pyramid<IntSummary>>(entry.tensor); });
  return *entry.ints;
}

const Pyramid<FloatRange>& RangeTables::floats(int32_t slot) {
  Entry& entry = entries_[static_cast<std::size_t>(slot)];
  std::call_once(*entry.once,
                 [&] { entry.floats = std::make_unique<Pyramid<FloatRange>>(entry.tensor); });
  return *entry.floats;
}

const ValueIndex& RangeTables::values(int32_t slot) {
  Entry& entry = entries_[static_cast<std::size_t>(slot)];
  std::call_once(*entry.values_once,
                 [&] { entry.values = std::make_unique<ValueIndex>(entry.tensor); });
  return *entry.values;
}

}  // namespace fovea::analysis
