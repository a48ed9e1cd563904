// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "unit/cpu/attention_harness.h"

/// Jagged batches beside the calls of single sequences that must give the same.
namespace fovea::cpu::testing {

/// Mods of a batch entry b: in the call of that sequence alone b is 0, so `b0` is added to it.
struct Variant {
  const char* name;
  Program (*score_mod)(int64_t b0) = nullptr;
  Program (*mask_mod)(int64_t b0) = nullptr;
};
inline constexpr BlockSize kBlocks{32, 16};

struct Lengths {
  std::vector<int64_t> q, kv;
};

/// All sequences behind each other in tensors of batch 1.
class Jagged {
 public:
  Jagged(const Lengths& lengths, const Shape& dims, uint64_t seed = 1);
  Jagged(const Jagged&) = delete;
  Jagged& operator=(const Jagged&) = delete;

  int64_t size() const { return static_cast<int64_t>(lengths_.q.size()); }
  void use(const Variant& variant, BlockSize blocks = kBlocks);
  /// The call of one sequence.
  Inputs alone(int64_t b) const;
  /// Its rows of the jagged result.
  Result rows_of(const Result& all, int64_t b) const;

  Inputs inputs;
  const std::vector<int32_t> q_ends;
  const std::vector<int64_t> kv_ends;

 private:
  Lengths lengths_;
  Variant variant_;
  BlockSize blocks_ = kBlocks;
};

}  // namespace fovea::cpu::testing
