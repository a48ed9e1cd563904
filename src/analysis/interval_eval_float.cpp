// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>

#include <fovea/error.h>
#include "analysis/interval_program.h"

namespace fovea::analysis {

using program::Op;

void IntervalProgram::eval_floating(const Step& step) {
  const FloatRange a = floats(step.a);
  const FloatRange b = step.b < 0 ? FloatRange{} : floats(step.b);
  const program::NodeId out = step.out;
  const auto rising = [&](double (*f)(double), double lo, double hi) {
    set(out, interval::clamped(interval::increasing(a, f), lo, hi));
  };
  const auto exact = [&](double (*f)(double)) { set(out, FloatRange{f(a.lo), f(a.hi), a.nan}); };
  constexpr double kInf = interval::kInfinity;
  switch (step.op) {
    case Op::add: return set(out, interval::add(a, b));
    case Op::sub: return set(out, interval::sub(a, b));
    case Op::mul: return set(out, interval::mul(a, b));
    case Op::div: return set(out, interval::div(a, b));
    case Op::mod: return set(out, interval::mod(a, b));
    case Op::min: return set(out, interval::min(a, b));
    case Op::max: return set(out, interval::max(a, b));
    case Op::pow: return set(out, interval::pow(a, b));
    case Op::neg: return set(out, interval::neg(a));
    case Op::abs: return set(out, interval::abs(a));
    case Op::exp: return rising([](double x) { return std::exp(x); }, 0, kInf);
    case Op::exp2: return rising([](double x) { return std::exp2(x); }, 0, kInf);
    case Op::log: return set(out, interval::logarithm(a, [](double x) { return std::log(x); }));
    case Op::log2: return set(out, interval::logarithm(a, [](double x) { return std::log2(x); }));
    case Op::tanh: return rising([](double x) { return std::tanh(x); }, -1, 1);
    case Op::sigmoid: return rising([](double x) { return 1 / (1 + std::exp(-x)); }, 0, 1);
    case Op::sqrt: return set(out, interval::sqrt(a));
    case Op::rsqrt: return set(out, interval::rsqrt(a));
    case Op::sin: return set(out, interval::wave(a));
    case Op::cos: return set(out, interval::wave(a));
    case Op::erf: return rising([](double x) { return std::erf(x); }, -1, 1);
    case Op::floor: return exact([](double x) { return std::floor(x); });
    case Op::ceil: return exact([](double x) { return std::ceil(x); });
    case Op::trunc: return exact([](double x) { return std::trunc(x); });
    case Op::round: return exact([](double x) { return std::nearbyint(x); });
    case Op::eq: return set(out, interval::eq(a, b));
    case Op::ne: return set(out, interval::logical_not(interval::eq(a, b)));
    case Op::lt: return set(out, interval::lt(a, b));
    case Op::le: return set(out, interval::le(a, b));
    case Op::to_f32: return set(out, a);
    case Op::to_i32: return set(out, interval::to_i32(a));
    case Op::to_bool: return set(out, interval::to_bool(a));
    // Leaves and where have their own rules; the others have integer or boolean operands.
    case Op::input:
    case Op::constant:
    case Op::param:
    case Op::gather:
    case Op::where:
    case Op::floor_div:
    case Op::logical_and:
    case Op::logical_or:
    case Op::logical_not:
    case Op::bit_and:
    case Op::bit_or:
    case Op::bit_xor:
    case Op::bit_not:
    case Op::shift_left:
    case Op::shift_right:
    case Op::philox: break;
  }
  throw InternalError(std::string("[bounds] operation ") + program::name_of(step.op) +
                      ": expected integer or boolean operands, got floats");
}

}  // namespace fovea::analysis
