// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <fovea/program.h>
#include "program/interpret.h"

/// How far an f32 evaluation of a program may be from the exact one: each operation's rounding plus
/// what it makes of its operands' errors. Where a discontinuity (a comparison, floor, a conversion
/// to i32, the choice of an index) lies within an operand's error, either side is right: the result
/// is `open`.
namespace fovea::cpu::testing {

struct Approximation {
  double value = 0;     // f32
  double error = 0;     // f32: |machine - value| is at most this
  int64_t integer = 0;  // i32, bool: exact unless open
  bool open = false;
};

Approximation approximate(const Program& program, const program::Inputs& inputs);
/// The same of every node.
std::vector<Approximation> approximate_nodes(const Program& program, const program::Inputs& inputs);

}  // namespace fovea::cpu::testing
