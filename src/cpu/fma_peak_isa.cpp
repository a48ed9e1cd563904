// SPDX-License-Identifier: Apache-2.0
#include "cpu/fma_peak.h"
#include "cpu/simd.h"

namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {

// Enough independent sums to hide the latency: four or five cycles on two units.
constexpr int kSums = 12;

float run(int64_t steps) {
  Floats sum[kSums];
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) sum[i] = to_floats(iota() + i);
  const Floats factor = broadcast(0.75f), term = broadcast(0.5f);  // the sums settle at 2
  for (; steps > 0; --steps) {
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) sum[i] = fma(sum[i], factor, term);
  }
  Floats total = {};
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) total += sum[i];
  return hsum(total);
}

}  // namespace

extern const FmaLoop kFmaLoop;
const FmaLoop kFmaLoop = {run, int64_t{2} * kSums* kLanes};

}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
