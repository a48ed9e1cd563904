// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "property/program/random_program.h"
#include "unit/cpu/tile_harness.h"

/// Two mods and a tile, and what the tile must become: element by element what the interpreter
/// gives, within the rounding that f32 may do.
namespace fovea::cpu::testing {

struct TileCase {
  Program score, mask;  // a mod may be empty
  std::string code;     // how the mods were made, for messages
  TileShape shape;
  std::vector<float> scores;
};

/// Shape and scores; q and kv stay below 100 + 300.
void random_tile(test::Dice& dice, TileCase& c);

/// Elements with a definite answer (rounding_model.h), all elements, tiles on the 32-bit path, all
/// tiles.
struct Tally {
  int64_t decided = 0, elements = 0, fast = 0, tiles = 0;
};

/// Whether the integers of a program may leave 32 bits on a tile.
bool needs_64_bits(const Program& program, const TileShape& shape);

/// `got` is what a machine made of the scores; fails the current test at the first wrong element.
void check_elements(const TileCase& c, const std::vector<float>& got, Tally& tally);

/// Runs it on every machine; fails the current test at the first wrong element.
void check_case(const TileCase& c, Tally& tally);

}  // namespace fovea::cpu::testing
