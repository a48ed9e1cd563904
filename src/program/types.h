// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>

#include "program/graph.h"

/// The type rules of ops.def: what an operation makes of its operands' types.
namespace fovea::program {

enum class Rule : uint8_t {
  leaf,
  arithmetic,
  floating,
  integer,
  bitwise,
  comparison,
  logical,
  select,
  to_f32,
  to_i32,
  to_bool,
  gather,
};

constexpr Rule rule_of(Op op) noexcept {
  constexpr std::array kRules = {
#define FOVEA_OP(name, arity, rule, spelling, cuda) Rule::rule,
#include "program/ops.def"
#undef FOVEA_OP
  };
  return kRules[static_cast<std::size_t>(op)];
}

constexpr int fixed_arity(Op op) noexcept {
  constexpr std::array kArities = {
#define FOVEA_OP(name, arity, rule, spelling, cuda) arity,
#include "program/ops.def"
#undef FOVEA_OP
  };
  return kArities[static_cast<std::size_t>(op)];
}

/// How an operation or function is called in messages: `+`, `where`, `f32`.
const char* display_name(Op op) noexcept;

/// InvalidArgument, `[trace] operands of +: expected ..., got ...`.
[[noreturn]] void refuse_operands(Op op, const char* expected, std::span<const ScalarType> got);

struct Signature {
  std::array<ScalarType, 3> operands{};  // after promotion
  ScalarType result = ScalarType::i32;
};

/// InvalidArgument, `[trace] ...`, if the operation does not take these types. Not for leaves and
/// gathers.
Signature signature_of(Op op, std::span<const ScalarType> operands);

/// bool -> i32 -> f32.
ScalarType promote(ScalarType a, ScalarType b) noexcept;

/// Does a literal at this operand shape the code, so that it becomes a constant of the structure?
/// `type`: of the operation's (promoted) operands.
bool is_shaping(Op op, std::size_t operand, ScalarType type) noexcept;

/// Literals that are never parameters wherever they stand: bools, infinities and NaN.
bool is_structural(const Literal& value) noexcept;

}  // namespace fovea::program
