// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "program/graph.h"

/// How tightly the operators of the text form bind: as in C. The printer and the parser share it.
namespace fovea::program {

enum class Precedence : uint8_t {
  any,
  logical_or,
  logical_and,
  bit_or,
  bit_xor,
  bit_and,
  equality,
  relation,
  shift,
  sum,
  product,
  prefix,
  atom,
};

/// Of an operation's printed form; atom for what prints as name(arguments).
constexpr Precedence precedence_of(Op op) noexcept {
  switch (op) {
    case Op::logical_or: return Precedence::logical_or;
    case Op::logical_and: return Precedence::logical_and;
    case Op::bit_or: return Precedence::bit_or;
    case Op::bit_xor: return Precedence::bit_xor;
    case Op::bit_and: return Precedence::bit_and;
    case Op::eq:
    case Op::ne: return Precedence::equality;
    case Op::lt:
    case Op::le: return Precedence::relation;
    case Op::shift_left:
    case Op::shift_right: return Precedence::shift;
    case Op::add:
    case Op::sub: return Precedence::sum;
    case Op::mul:
    case Op::div:
    case Op::floor_div:
    case Op::mod: return Precedence::product;
    case Op::neg:
    case Op::logical_not:
    case Op::bit_not: return Precedence::prefix;
    case Op::input:
    case Op::constant:
    case Op::param:
    case Op::gather:
    case Op::min:
    case Op::max:
    case Op::pow:
    case Op::abs:
    case Op::exp:
    case Op::exp2:
    case Op::log:
    case Op::log2:
    case Op::tanh:
    case Op::sigmoid:
    case Op::sqrt:
    case Op::rsqrt:
    case Op::sin:
    case Op::cos:
    case Op::erf:
    case Op::floor:
    case Op::ceil:
    case Op::trunc:
    case Op::round:
    case Op::philox:
    case Op::where:
    case Op::to_f32:
    case Op::to_i32:
    case Op::to_bool: return Precedence::atom;
  }
  return Precedence::atom;
}

constexpr Precedence next(Precedence p) noexcept {
  return static_cast<Precedence>(static_cast<uint8_t>(p) + 1);
}

/// Comparisons do not chain: `a < b < c` would not mean what it says.
constexpr bool chains(Precedence p) noexcept {
  return p != Precedence::equality && p != Precedence::relation;
}

}  // namespace fovea::program
