// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <fovea/program.h>
#include "cpu/attention/tile_program.h"
#include "unit/cpu/tile_machine_entry.h"

/// Runs mods on tiles with the tile machine of every instruction set that this machine has.
namespace fovea::cpu::testing {

struct NamedMachine {
  std::string name;
  const TileMachineEntry* entry = nullptr;
};
std::vector<NamedMachine> machines();
std::string name_of_machine(const NamedMachine& machine);
void PrintTo(const NamedMachine& machine, std::ostream* out);  // for GoogleTest

struct TileShape {
  int64_t b = 0, h = 0, q0 = 0, rows = 1, kv0 = 0, cols = 1;
  int64_t extra_rows = 0, extra_cols = 0;  // by which the machine is larger than the tile
  int64_t padding = 0;                     // columns of the memory behind each row
};

struct TileOptions {
  bool apply_mask = true;
  bool needs_64_bits = false;
};

/// The scores of the tile after the machine ran on `scores` (rows x cols, dense). Fails the test if
/// the machine wrote anything else.
std::vector<float> run_tile(const NamedMachine& machine, const TileProgram& lowered,
                            const Program& score_mod, const Program& mask_mod,
                            const TileShape& shape, const std::vector<float>& scores,
                            const TileOptions& options = {});
std::vector<float> run_tile(const NamedMachine& machine, const Program& score_mod,
                            const Program& mask_mod, const TileShape& shape,
                            const std::vector<float>& scores, const TileOptions& options = {});

}  // namespace fovea::cpu::testing
