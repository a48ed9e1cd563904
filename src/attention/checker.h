// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <fovea/tensor.h>
#include "core/fail.h"

/// What validation checks of any tensor.
namespace fovea::attention {

/// Checks rules in the name of one public function. Texts are made only when a rule is broken: a name is
/// a literal, or a function that gives it.
class Checker {
 public:
  // The number of elements of a tensor, and so every position in it, stays well within 64 bits.
  static constexpr int64_t kMostElements = int64_t{1} << 62;

  explicit Checker(const char* where) : where_(where) {}

  template <class Expected, class Got>
  [[noreturn]] void fail(const std::string& rule, const Expected& expected, const Got& got) const {
    core::fail_argument(where_, rule, core::text(expected), core::text(got));
  }
  void equal(const char* rule, int64_t expected, int64_t got) const {
    if (expected != got) fail(rule, expected, got);
  }

  /// Of query, key, value and what has their shape.
  void tensor(const char* name, const TensorView& view) const {
    if (view.rank() != 4) {
      fail(text_of(name) + " must have 4 dimensions (batch, heads, length, head_dim)", 4,
           view.rank());
    }
    floating(name, view);
    memory(name, view);
  }
  template <class Name>
  void floating(const Name& name, const TensorView& view) const {
    if (is_floating(view.dtype)) return;
    fail(text_of(name) + " must be floating-point", "f64, f32, bf16 or f16", name_of(view.dtype));
  }
  template <class Name>
  void wide(const Name& name, const TensorView& view) const {
    if (view.dtype == DType::f32 || view.dtype == DType::f64) return;
    fail(text_of(name) + " must be f32 or f64", "f32 or f64", name_of(view.dtype));
  }
  template <class Name>
  void memory(const Name& name, const TensorView& view) const {
    for (const int64_t size : view.sizes) {
      if (size < 0) fail(text_of(name) + " sizes must not be negative", "at least 0", size);
    }
    const int64_t count = view.numel();
    if (count > kMostElements) {
      fail(text_of(name) + " must not have too many elements", "at most 2^62",
           to_string(view.sizes));
    }
    if (view.data == nullptr && count > 0)
      fail(text_of(name) + " must have memory", "a pointer", "null");
  }
  template <class Name>
  void device(const Name& name, const TensorView& view, const Device& query) const {
    const auto text = [](const Device& d) { return d.type == DeviceType::cpu ? "cpu" : "cuda"; };
    if (view.device == query) return;
    fail(text_of(name) + " must be on the query's device", text(query), text(view.device));
  }
  template <class Name>
  void on_cpu(const Name& name, const TensorView& view) const {
    if (view.device.type == DeviceType::cpu) return;
    fail(text_of(name) + " must be on the CPU", "cpu", "cuda");
  }
  /// Of an output: two tasks would write the same memory.
  template <class Name>
  void no_overlap(const Name& name, const TensorView& view) const {
    if (view.numel() == 0) return;
    for (int i = 0; i < view.rank(); ++i) {
      if (view.size(i) > 1 && view.stride(i) == 0) {
        fail(text_of(name) + " must not overlap itself", "strides other than 0",
             to_string(view.strides));
      }
    }
  }

  template <class Name>
  static std::string text_of(const Name& name) {
    if constexpr (std::is_invocable_v<const Name&>) {
      return name();
    } else {
      return name;
    }
  }

 private:
  const char* where_;
};

}  // namespace fovea::attention
