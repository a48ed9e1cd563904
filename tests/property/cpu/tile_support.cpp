// SPDX-License-Identifier: Apache-2.0
// What this executable shares with the unit tests.
#include "unit/cpu/tile_harness.cpp"       // NOLINT
#include "unit/cpu/tile_machine_wide.cpp"  // NOLINT
