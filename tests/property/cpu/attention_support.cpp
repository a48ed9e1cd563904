// SPDX-License-Identifier: Apache-2.0
#include "unit/cpu/attention_harness.cpp"       // NOLINT: this executable needs the harness too
#include "unit/cpu/attention_kernels_wide.cpp"  // NOLINT
#include "unit/cpu/sequence_cases.cpp"          // NOLINT
