// SPDX-License-Identifier: Apache-2.0
#include "unit/cpu/tile_machine_isa.cpp"  // NOLINT: this executable needs the entry points too
