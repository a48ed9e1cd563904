// SPDX-License-Identifier: Apache-2.0
// The kernels with 16 lanes, built from vectors that the compiler splits: what AVX-512 machines run,
// but for the intrinsics, on any machine.
#define FOVEA_SIMD_LANES 16
#define FOVEA_SIMD_PAIRS 1
#define FOVEA_ISA_NAMESPACE wide
#include "cpu/attention/backward_isa.cpp"  // NOLINT
#include "cpu/attention/kernels_isa.cpp"   // NOLINT
