// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <fovea/program.h>
#include "cpu/attention/tile_program.h"
#include "program/derive.h"
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

/// What both parts of a joint program make of a tile.
struct JointTile {
  std::vector<float> scores, dscore;
  /// By contribution: its sums over the tile, from the first position of the tile on, or the whole
  /// gradient tensor, dense.
  std::vector<std::vector<float>> gradients;
};

/// The two parts one after the other, scores destroyed in between; gradients start at `start`.
JointTile run_joint_tile(const NamedMachine& machine, const TileProgram& lowered,
                         const Program& mod, const Program& mask_mod, const TileShape& shape,
                         const std::vector<float>& scores, const std::vector<float>& dout,
                         const TileOptions& options = {}, float start = 0);

/// Derived with respect to all captured tensors, and all f32 parameters if asked for.
program::JointProgram joint_of(const Program& mod, bool params = false);

}  // namespace fovea::cpu::testing
