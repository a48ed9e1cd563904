// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <fovea/dropout.h>
#include <fovea/vector.h>
#include "core/fail.h"

namespace fovea {
namespace {

constexpr const char* kWhere = "dropout";

// Both halves of an i64 as i32: no integer of the program leaves 32 bits, and all 64 count.
Capture words_of(const char* name, const TensorView& tensor) {
  const std::string rule = std::string(name) + " must be ";
  core::require(tensor.dtype == DType::i64, kWhere, rule + "an integer of 64 bits", "i64",
                name_of(tensor.dtype));
  core::require(tensor.numel() == 1, kWhere, rule + "one number", "1 element", tensor.numel());
  core::require(tensor.data != nullptr, kWhere, rule + "in memory", "a pointer", "null");
  return Capture({tensor.data, DType::i32, {2}, {1}, tensor.device});
}

// Random bits below this, as signed integers, mean that the weight is dropped.
int64_t threshold_of(double p) {
  constexpr int64_t kLowest = std::numeric_limits<int32_t>::min();
  constexpr int64_t kHighest = std::numeric_limits<int32_t>::max();
  return std::min(kHighest, kLowest + static_cast<int64_t>(std::llround(p * 0x1p32)));
}

}  // namespace

Program dropout(double p, const TensorView& seed, const TensorView& offset) {
  if (!(p >= 0 && p <= 1)) {
    core::fail_argument(kWhere, "p must be a probability", "0 to 1", core::text(p));
  }
  const Capture seed_words = words_of("seed", seed), offset_words = words_of("offset", offset);
  return weight_mod([&](Value w, Value b, Value h, Value q, Value kv) {
    const Vector s = seed_words.row(), o = offset_words.row();
    const Value key = random_bits(random_bits(random_bits(s[0], s[1], o[0]), o[1], b), h, 0);
    const Value is_dropped = random_bits(key, q, kv) < threshold_of(p);
    // With p = 1 one in 2^32 is not dropped, but multiplied by 0.
    return where(is_dropped, 0.0, w * (p < 1 ? 1 / (1 - p) : 0.0));
  });
}

}  // namespace fovea
