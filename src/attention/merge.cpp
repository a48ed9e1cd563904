// SPDX-License-Identifier: Apache-2.0
#include "attention/merge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "attention/checker.h"
#include "attention/element_access.h"

namespace fovea::attention {
namespace {

constexpr double kNoKeys = -std::numeric_limits<double>::infinity();
// Elements of out at a time.
constexpr int64_t kChunk = 128;
// Rows of a task.
constexpr int64_t kRows = 16;

class PartName {
 public:
  PartName(const char* name, std::size_t part) : name_(name), part_(part) {}
  std::string operator()() const { return name_ + (" of part " + std::to_string(part_)); }

 private:
  const char* name_;
  std::size_t part_;
};

template <class Name>
void check_lse(const Checker& check, const Name& name, const TensorView& lse, const Dims& sizes) {
  check.wide(name, lse);
  if (lse.sizes != sizes) {
    check.fail(Checker::text_of(name) + " must have the shape (batch, query heads, query length)",
               to_string(sizes), to_string(lse.sizes));
  }
  check.memory(name, lse);
}

template <class T>
void add_row(const T* from, int64_t stride, int64_t count, double weight, double* sum) {
  for (int64_t i = 0; i < count; ++i) {
    const T x = from[i * stride];
    if constexpr (std::is_floating_point_v<T>) {
      sum[i] += weight * static_cast<double>(x);
    } else {
      sum[i] += weight * static_cast<double>(static_cast<float>(x));
    }
  }
}

// sum += weight * elements [at, at + count * stride) of a tensor.
void add_row(const TensorView& tensor, int64_t at, int64_t count, double weight, double* sum) {
  const int64_t stride = tensor.stride(3);
  const auto add = [&](const auto* data) { add_row(data + at, stride, count, weight, sum); };
  if (tensor.dtype == DType::f64) return add(static_cast<const double*>(tensor.data));
  if (tensor.dtype == DType::bf16) return add(static_cast<const BFloat16*>(tensor.data));
  if (tensor.dtype == DType::f16) return add(static_cast<const Float16*>(tensor.data));
  add(static_cast<const float*>(tensor.data));
}

class Merge {
 public:
  Merge(std::span<const PartialAttention> parts, const TensorView& out, const MergeOptions& options)
      : parts_(parts), out_(out), options_(options) {}

  void row(int64_t index) const {
    const int64_t q = index % out_.size(2), rest = index / out_.size(2);
    const int64_t h = rest % out_.size(1), b = rest / out_.size(1);
    const auto at = [&](const TensorView& t) {
      return b * t.stride(0) + h * t.stride(1) + q * t.stride(2);
    };
    const auto lse_of = [&](const PartialAttention& part) {
      return load_element(part.lse, at(part.lse));
    };
    double largest = kNoKeys, sum = 0;
    for (const PartialAttention& part : parts_) {
      const double lse = lse_of(part);
      largest = std::isnan(lse) || lse > largest ? lse : largest;
    }
    if (largest != kNoKeys) {
      for (const PartialAttention& part : parts_) sum += std::exp(lse_of(part) - largest);
    }
    const double total = largest + std::log(sum);  // -inf + -inf without keys

    for (int64_t first = 0; first < out_.size(3); first += kChunk) {
      const int64_t count = std::min(kChunk, out_.size(3) - first);
      std::array<double, kChunk> values{};
      for (const PartialAttention& part : parts_) {
        const double lse = lse_of(part);
        if (lse == kNoKeys) continue;
        add_row(part.out, at(part.out) + first * part.out.stride(3), count,
                std::exp(lse - largest) / sum, values.data());
      }
      for (int64_t i = 0; i < count; ++i) {
        store_element(out_, at(out_) + (first + i) * out_.stride(3),
                      values[static_cast<std::size_t>(i)]);
      }
    }
    // Last: it may be a part's own.
    if (options_.lse) store_element(*options_.lse, at(*options_.lse), total);
  }

 private:
  std::span<const PartialAttention> parts_;
  const TensorView& out_;
  const MergeOptions& options_;
};

}  // namespace

void check_merge(std::span<const PartialAttention> parts, const TensorView& out,
                 const MergeOptions& options) {
  const Checker check("merge_attention");
  check.tensor("out", out);
  check.on_cpu("out", out);
  check.no_overlap("out", out);
  const Dims sizes{out.size(0), out.size(1), out.size(2)};
  if (options.lse) {
    check_lse(check, "lse", *options.lse, sizes);
    check.on_cpu("lse", *options.lse);
    check.no_overlap("lse", *options.lse);
  }
  if (parts.empty()) check.fail("parts must not be empty", "at least 1", 0);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const PartName name("out", i);
    check.floating(name, parts[i].out);
    if (parts[i].out.sizes != out.sizes) {
      check.fail(name() + " must have the shape of out", to_string(out.sizes),
                 to_string(parts[i].out.sizes));
    }
    check.memory(name, parts[i].out);
    check.on_cpu(name, parts[i].out);
    check_lse(check, PartName("lse", i), parts[i].lse, sizes);
    check.on_cpu(PartName("lse", i), parts[i].lse);
  }
}

void merge(std::span<const PartialAttention> parts, const TensorView& out,
           const MergeOptions& options, Executor& executor) {
  const Merge merge(parts, out, options);
  const int64_t rows = out.size(0) * out.size(1) * out.size(2);
  executor.parallel((rows + kRows - 1) / kRows, [&](int64_t task, int) {
    const int64_t end = std::min((task + 1) * kRows, rows);
    for (int64_t row = task * kRows; row < end; ++row) merge.row(row);
  });
}

}  // namespace fovea::attention
