// SPDX-License-Identifier: Apache-2.0
// Where PyTorch's type rules are more than a promotion: arithmetic of bools is logic or refused,
// rounding leaves integers alone, and a power of integers is an integer.
#include <algorithm>
#include <array>
#include <string>

#include "core/fail.h"
#include "program/builder.h"
#include "program/fold.h"
#include "program/types.h"

namespace fovea::program {

namespace {

constexpr int64_t kMaxPower = 62;  // of integers

template <std::size_t N>
bool is_one_of(const std::array<Op, N>& ops, Op op) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

constexpr std::array kLogicOfBools = {Op::add, Op::mul, Op::min, Op::max};
constexpr std::array kNeverOfBools = {Op::sub, Op::neg};
constexpr std::array kNotOfBoolsAlone = {Op::abs,        Op::floor_div,   Op::mod,   Op::pow,
                                         Op::shift_left, Op::shift_right, Op::floor, Op::ceil,
                                         Op::trunc,      Op::round};
constexpr std::array kRounding = {Op::floor, Op::ceil, Op::trunc, Op::round};

Op logic_of(Op op) { return op == Op::add || op == Op::max ? Op::logical_or : Op::logical_and; }

}  // namespace

NodeId Builder::make_as_torch(Op op, std::span<const NodeId> operands,
                              std::span<const ScalarType> types) {
  const auto count = [types](ScalarType type) {
    return static_cast<std::size_t>(std::count(types.begin(), types.end(), type));
  };
  const std::size_t bools = count(ScalarType::boolean);
  const bool all_bools = bools == types.size();
  if (all_bools && is_one_of(kLogicOfBools, op)) return make(logic_of(op), operands);
  if ((bools > 0 && is_one_of(kNeverOfBools, op)) ||
      (all_bools && is_one_of(kNotOfBoolsAlone, op))) {
    refuse_operands(op, "numbers (to_int makes one of a bool, ! inverts it)", types);
  }
  if (count(ScalarType::f32) > 0) return -1;
  if (is_one_of(kRounding, op)) return operands[0];
  return op == Op::pow ? integer_power(operands[0], operands[1]) : -1;
}

// By squaring; 2 to an unknown power by a shift.
NodeId Builder::integer_power(NodeId base, NodeId exponent) {
  if (!is_foldable(exponent)) {
    if (is_foldable(base) && value_of(base).i == 2) {
      return make(Op::shift_left, {literal(make_int(1)), exponent});
    }
    core::fail_argument("trace", "exponent of a power of integers",
                        "a literal, or 2 as the base (to_float(base) makes a float of it)",
                        "a value");
  }
  const int64_t power = value_of(exponent).i;
  if (power < 0 || power > kMaxPower) {
    core::fail_argument("trace", "exponent of a power of integers",
                        "0 to " + std::to_string(kMaxPower), std::to_string(power));
  }
  NodeId square = convert(base, ScalarType::i32);
  NodeId result = -1;
  for (int64_t rest = power; rest > 0; rest /= 2) {
    if (rest % 2 != 0) result = result < 0 ? square : make(Op::mul, {result, square});
    if (rest > 1) square = make(Op::mul, {square, square});
  }
  return result < 0 ? literal(make_int(1)) : result;
}

}  // namespace fovea::program
