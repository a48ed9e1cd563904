// SPDX-License-Identifier: Apache-2.0
#include "program/types.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/fail.h"

namespace fovea::program {

namespace {

std::string list_types(std::span<const ScalarType> types) {
  std::string list;
  for (const ScalarType type : types) {
    if (!list.empty()) list += ", ";
    list += name_of(type);
  }
  return list;
}

bool has(std::span<const ScalarType> types, ScalarType type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

bool has_other_than(std::span<const ScalarType> types, ScalarType type) {
  return std::any_of(types.begin(), types.end(), [type](ScalarType t) { return t != type; });
}

Signature uniform(ScalarType operands, ScalarType result) {
  return {{operands, operands, operands}, result};
}

ScalarType common_type(std::span<const ScalarType> types) {
  ScalarType common = ScalarType::boolean;
  for (const ScalarType type : types) common = promote(common, type);
  return common;
}

}  // namespace

const char* display_name(Op op) noexcept {
  return spelling_of(op)[0] != '\0' ? spelling_of(op) : name_of(op);
}

void refuse_operands(Op op, const char* expected, std::span<const ScalarType> got) {
  core::fail_argument(
      "trace", std::string(got.size() > 1 ? "operands of " : "operand of ") + display_name(op),
      expected, list_types(got));
}

ScalarType promote(ScalarType a, ScalarType b) noexcept {
  if (a == ScalarType::f32 || b == ScalarType::f32) return ScalarType::f32;
  if (a == ScalarType::i32 || b == ScalarType::i32) return ScalarType::i32;
  return ScalarType::boolean;
}

Signature signature_of(Op op, std::span<const ScalarType> operands) {
  constexpr auto f32 = ScalarType::f32;
  constexpr auto i32 = ScalarType::i32;
  constexpr auto boolean = ScalarType::boolean;
  switch (rule_of(op)) {
    case Rule::arithmetic: {
      const ScalarType type = has(operands, f32) ? f32 : i32;
      return uniform(type, type);
    }
    case Rule::floating: return uniform(f32, f32);
    case Rule::integer:
      if (has(operands, f32)) refuse_operands(op, "integers", operands);
      return uniform(i32, i32);
    case Rule::bitwise: {
      if (has(operands, f32)) refuse_operands(op, "integers or bools", operands);
      const ScalarType type = common_type(operands);
      return uniform(type, type);
    }
    case Rule::comparison: return uniform(common_type(operands), boolean);
    case Rule::logical:
      if (has_other_than(operands, boolean)) refuse_operands(op, "bool", operands);
      return uniform(boolean, boolean);
    case Rule::select: {
      if (operands[0] != boolean) {
        core::fail_argument("trace", "condition of where", "bool", name_of(operands[0]));
      }
      const ScalarType type = promote(operands[1], operands[2]);
      return {{boolean, type, type}, type};
    }
    case Rule::to_f32: return uniform(operands[0], f32);
    case Rule::to_i32: return uniform(operands[0], i32);
    case Rule::to_bool: return uniform(operands[0], boolean);
    case Rule::leaf:
    case Rule::gather: break;
  }
  throw InternalError(std::string("[program] no signature: expected an operation, got ") +
                      name_of(op));
}

bool is_shaping(Op op, std::size_t operand, ScalarType type) noexcept {
  if (operand != 1) return false;
  if (op == Op::mod) return type == ScalarType::i32;
  return op == Op::floor_div || op == Op::shift_left || op == Op::shift_right || op == Op::pow;
}

bool is_structural(const Literal& value) noexcept {
  return value.type == ScalarType::boolean ||
         (value.type == ScalarType::f32 && !std::isfinite(value.f));
}

}  // namespace fovea::program
