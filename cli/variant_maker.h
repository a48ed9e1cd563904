// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fovea/value.h>
#include "gallery.h"

/// What a variant of the gallery is put together with.
namespace fovea::cli {

struct VariantTables {
  std::deque<std::vector<float>> floats;
  std::deque<std::vector<int32_t>> ints;
};

inline constexpr float kHidden = -std::numeric_limits<float>::infinity();

/// Hides the scores for which `allowed(kv)` is false.
template <class F>
void hide_unless(std::span<float> scores, F&& allowed) {
  const auto length = static_cast<int64_t>(scores.size());
  for (int64_t kv = 0; kv < length; ++kv) {
    if (!allowed(kv)) scores[static_cast<std::size_t>(kv)] = kHidden;
  }
}

class VariantMaker {
 public:
  VariantMaker(std::string name, const VariantShape& shape);

  const VariantShape& shape() const noexcept { return shape_; }
  int64_t length() const noexcept;  ///< the longer of the two
  void describe(std::string description, std::string formula);

  /// A parameter: as given on the command line, else the default.
  double number(const std::string& name, double default_value);
  int64_t whole(const std::string& name, int64_t default_value);  ///< at least 1

  /// Tables that live as long as the variant.
  const std::vector<float>& keep(std::vector<float> values);
  const std::vector<int32_t>& keep(std::vector<int32_t> values);

  template <class F>
  void score(F&& mod) {
    variant_.score_mod = score_mod(std::forward<F>(mod));
  }
  template <class F>
  void mask(F&& mod) {
    variant_.mask_mod = mask_mod(std::forward<F>(mod));
  }
  void plain(RowMod mod) { variant_.plain = std::move(mod); }

  Variant finish();

 private:
  const VariantShape& shape_;
  Variant variant_;
  std::shared_ptr<VariantTables> tables_ = std::make_shared<VariantTables>();
};

template <class T>
Capture capture_vector(const std::vector<T>& values) {
  return capture(view(values.data(), {static_cast<int64_t>(values.size())}));
}

}  // namespace fovea::cli
