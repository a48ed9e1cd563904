// SPDX-License-Identifier: Apache-2.0 The machine with 16 lanes, built from vectors that the
// compiler splits: what AVX-512 machines run, but for the intrinsics, on any machine.
#define FOVEA_SIMD_LANES 16
#define FOVEA_ISA_NAMESPACE wide
#include "unit/cpu/tile_machine_isa.cpp"  // NOLINT
