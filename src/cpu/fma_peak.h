// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

/// The ceiling that benchmarks divide by: multiply-adds that touch no memory.
namespace fovea::cpu {

enum class Isa : uint8_t;

/// FLOP/s of `threads` threads together (the best of several runs, since nothing makes a run faster
/// than the machine is). InvalidArgument if threads < 1.
double measure_fma_peak(int threads, Isa isa);

/// Built once per ISA.
struct FmaLoop {
  /// Runs `steps` steps of the loop; the result only keeps the compiler from dropping it.
  float (*run)(int64_t steps) = nullptr;
  int64_t flops_per_step = 0;
};
const FmaLoop& fma_loop(Isa isa);

}  // namespace fovea::cpu
