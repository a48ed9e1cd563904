// SPDX-License-Identifier: Apache-2.0
#include "property/cpu/rounding_model.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include <fovea/random.h>

namespace fovea::cpu::testing {
namespace {

using program::Graph;
using program::Node;
using program::NodeId;
using program::Op;

constexpr double kEps = 0x1p-23;  // two roundings of one operation, an FMA's or a reciprocal's
constexpr double kFunctionEps = 8 * kEps;  // polynomials, libm
constexpr double kTiny = 1e-37;            // the smallest normal numbers: what underflow loses
constexpr double kHuge = 1e37;

double round_error(double value) { return kEps * std::abs(value) + kTiny; }

Approximation real(double value, double propagated, double rounding) {
  Approximation r{.value = value, .error = propagated + rounding};
  // Near overflow, infinity and NaN are as good as a number.
  if (!std::isfinite(value) || !std::isfinite(r.error) || std::abs(value) + r.error > kHuge)
    r.open = true;
  return r;
}

Approximation exact(int64_t integer) { return {.integer = integer}; }
Approximation open() { return {.open = true}; }

bool near_integer(double x, double error) {
  return error > 0 && std::floor(x - error) != std::floor(x + error);
}

int64_t floor_div(int64_t a, int64_t b) {
  if (b == 0) return 0;
  const int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

class Evaluation {
 public:
  Evaluation(const Program& program, const program::Inputs& inputs)
      : program_(program), graph_(program.graph()), inputs_(inputs) {}

  std::vector<Approximation> run() {
    for (NodeId id = 0; id < graph_.size(); ++id) results_.push_back(evaluate(graph_[id]));
    return std::move(results_);
  }

 private:
  const Approximation& operand(const Node& node, int i) const {
    return results_[static_cast<std::size_t>(graph_.args(node)[static_cast<std::size_t>(i)])];
  }
  ScalarType operand_type(const Node& node, int i) const {
    return graph_[graph_.args(node)[static_cast<std::size_t>(i)]].type;
  }

  Approximation evaluate(const Node& node) const {
    if (node.op == Op::input) return input(node);
    if (node.op == Op::constant) return literal(node.literal);
    if (node.op == Op::param) {
      return literal(program_.params()[static_cast<std::size_t>(node.slot)]);
    }
    if (node.op == Op::gather) return gather(node);
    if (node.op == Op::where) return where(node);
    for (int i = 0; i < node.count; ++i) {
      if (operand(node, i).open) return open();
    }
    if (node.type == ScalarType::f32) return floating(node);
    return integral(node);
  }

  Approximation input(const Node& node) const {
    switch (static_cast<program::Input>(node.slot)) {
      case program::Input::score: return real(inputs_.score, 0, 0);
      case program::Input::dout: return real(inputs_.dout, 0, 0);
      case program::Input::b: return exact(inputs_.b);
      case program::Input::h: return exact(inputs_.h);
      case program::Input::q: return exact(inputs_.q);
      case program::Input::kv: return exact(inputs_.kv);
    }
    return open();
  }

  static Approximation literal(const Literal& value) {
    if (value.type != ScalarType::f32) return exact(value.i);
    // Comparing with infinity or NaN, and choosing it, is exact; computing with it is open.
    if (!std::isfinite(value.f)) return {.value = value.f};
    return real(value.f, std::abs(static_cast<double>(static_cast<float>(value.f)) - value.f), 0);
  }

  Approximation gather(const Node& node) const {
    const TensorView& tensor = program_.captures()[static_cast<std::size_t>(node.slot)];
    std::vector<int64_t> indices;
    for (int i = 0; i < node.count; ++i) {
      const Approximation& index = operand(node, i);
      if (index.open || index.integer < 0 || index.integer >= tensor.size(i)) return open();
      indices.push_back(index.integer);
    }
    return literal(program::read_element(tensor, indices));
  }

  Approximation where(const Node& node) const {
    const Approximation& condition = operand(node, 0);
    if (condition.open) return open();
    return operand(node, condition.integer != 0 ? 1 : 2);
  }

  Approximation floating(const Node& node) const;
  Approximation function(Op op, const Approximation& a) const;
  Approximation integral(const Node& node) const;
  static Approximation compare(Op op, const Approximation& a, const Approximation& b, bool reals);

  const Program& program_;
  const Graph& graph_;
  const program::Inputs& inputs_;
  std::vector<Approximation> results_;
};

Approximation modulo(const Approximation& a, const Approximation& b) {
  if (std::abs(b.value) <= 2 * b.error) return open();
  const double quotient = a.value / b.value;
  const double q_error = (a.error + std::abs(quotient) * b.error) / (std::abs(b.value) - b.error);
  if (near_integer(quotient, q_error + round_error(quotient))) return open();
  const double whole = std::floor(quotient);
  const double value = a.value - whole * b.value;
  return real(value, a.error + std::abs(whole) * b.error, round_error(b.value));
}

Approximation power(const Approximation& a, const Approximation& b) {
  if (a.value <= 2 * a.error) return open();
  const double value = std::pow(a.value, b.value);
  const double log_error =
      std::abs(b.value) * a.error / (a.value - a.error) + std::abs(std::log(a.value)) * b.error;
  return real(value, std::abs(value) * std::expm1(log_error), 16 * round_error(value));
}

Approximation Evaluation::floating(const Node& node) const {
  const Approximation& a = operand(node, 0);
  if (node.op == Op::to_f32 && operand_type(node, 0) != ScalarType::f32) {
    const auto value = static_cast<double>(a.integer);
    return real(value, std::abs(static_cast<double>(static_cast<float>(value)) - value), 0);
  }
  if (node.count == 1) return function(node.op, a);
  const Approximation& b = operand(node, 1);
  const double x = a.value, y = b.value;
  if (std::isnan(x) || std::isnan(y)) return open();
  if (node.op == Op::add) return real(x + y, a.error + b.error, round_error(x + y));
  if (node.op == Op::sub) return real(x - y, a.error + b.error, round_error(x - y));
  if (node.op == Op::mul) {
    const double propagated = std::abs(x) * b.error + std::abs(y) * a.error + a.error * b.error;
    return real(x * y, propagated, round_error(x * y));
  }
  if (node.op == Op::div) {
    if (std::abs(y) <= 2 * b.error || y == 0) return open();
    const double propagated = (a.error + std::abs(x / y) * b.error) / (std::abs(y) - b.error);
    return real(x / y, propagated, 2 * round_error(x / y));
  }
  if (node.op == Op::mod) return modulo(a, b);
  if (node.op == Op::min) return real(std::min(x, y), std::max(a.error, b.error), 0);
  if (node.op == Op::max) return real(std::max(x, y), std::max(a.error, b.error), 0);
  if (node.op == Op::pow) return power(a, b);
  return open();
}

Approximation step(double value, const Approximation& a, double offset) {
  if (near_integer(a.value + offset, a.error)) return open();
  return real(value, 0, 0);
}

// Functions that are smooth where the operand may be; `slope` bounds the derivative there.
Approximation smooth(double value, double slope, const Approximation& a, double scale = 0) {
  return real(value, slope * a.error, kFunctionEps * std::max(std::abs(value), scale) + kTiny);
}

Approximation Evaluation::function(Op op, const Approximation& a) const {
  const double x = a.value, e = a.error;
  const bool positive = x - 2 * e > 0;
  if (op == Op::to_f32) return a;
  if (op == Op::neg) return real(-x, e, 0);
  if (op == Op::abs) return real(std::abs(x), e, 0);
  if (op == Op::exp) return smooth(std::exp(x), std::exp(x + e), a);
  if (op == Op::exp2) return smooth(std::exp2(x), std::exp2(x + e), a);
  if (op == Op::log) return positive ? smooth(std::log(x), 1 / (x - e), a) : open();
  if (op == Op::log2) return positive ? smooth(std::log2(x), 1.5 / (x - e), a) : open();
  if (op == Op::tanh) return smooth(std::tanh(x), 1, a);
  if (op == Op::sigmoid) return smooth(1 / (1 + std::exp(-x)), 0.25, a);
  if (op == Op::sqrt) {
    if (x == 0 && e == 0) return real(0, 0, 0);
    return positive ? smooth(std::sqrt(x), 0.5 / std::sqrt(x - e), a) : open();
  }
  if (op == Op::rsqrt) {
    return positive ? smooth(1 / std::sqrt(x), 0.5 / std::pow(x - e, 1.5), a) : open();
  }
  if (op == Op::sin) return smooth(std::sin(x), 1, a, 1);
  if (op == Op::cos) return smooth(std::cos(x), 1, a, 1);
  if (op == Op::erf) return smooth(std::erf(x), 1.13, a);
  if (op == Op::floor) return step(std::floor(x), a, 0);
  if (op == Op::ceil) return step(std::ceil(x), a, 0);
  if (op == Op::trunc) return step(std::trunc(x), a, 0);
  if (op == Op::round) return step(std::nearbyint(x), a, 0.5);
  return open();
}

Approximation Evaluation::compare(Op op, const Approximation& a, const Approximation& b,
                                  bool reals) {
  if (reals) {
    const double error = a.error + b.error;
    if (error > 0 && std::abs(a.value - b.value) <= error) return open();
    if (op == Op::eq) return exact(a.value == b.value);
    if (op == Op::ne) return exact(a.value != b.value);
    return exact(op == Op::lt ? a.value < b.value : a.value <= b.value);
  }
  if (op == Op::eq) return exact(a.integer == b.integer);
  if (op == Op::ne) return exact(a.integer != b.integer);
  return exact(op == Op::lt ? a.integer < b.integer : a.integer <= b.integer);
}

Approximation Evaluation::integral(const Node& node) const {
  const Approximation& a = operand(node, 0);
  const bool reals = operand_type(node, 0) == ScalarType::f32;
  const bool boolean = node.type == ScalarType::boolean;
  const int64_t x = a.integer;
  if (node.op == Op::to_i32) {
    if (!reals) return exact(x);
    if (near_integer(a.value, a.error) || !(std::abs(a.value) <= 2e9)) return open();
    return exact(static_cast<int64_t>(a.value));
  }
  if (node.op == Op::to_bool) {
    if (!reals) return exact(x != 0);
    return a.error > 0 && std::abs(a.value) <= a.error ? open() : exact(a.value != 0);
  }
  if (node.op == Op::neg) return exact(-x);
  if (node.op == Op::abs) return exact(std::abs(x));
  if (node.op == Op::logical_not) return exact(x == 0);
  if (node.op == Op::bit_not) return exact(boolean ? x == 0 : ~x);
  const Approximation& b = operand(node, 1);
  const int64_t y = b.integer;
  if (node.op == Op::eq || node.op == Op::ne || node.op == Op::lt || node.op == Op::le) {
    return compare(node.op, a, b, reals);
  }
  if (node.op == Op::add) return exact(x + y);
  if (node.op == Op::sub) return exact(x - y);
  if (node.op == Op::mul) return exact(x * y);
  if (node.op == Op::floor_div) return exact(floor_div(x, y));
  if (node.op == Op::mod) return exact(x - floor_div(x, y) * y);
  if (node.op == Op::min) return exact(std::min(x, y));
  if (node.op == Op::max) return exact(std::max(x, y));
  if (node.op == Op::logical_and || node.op == Op::bit_and) return exact(x & y);
  if (node.op == Op::logical_or || node.op == Op::bit_or) return exact(x | y);
  if (node.op == Op::bit_xor) return exact(x ^ y);
  if (node.op == Op::philox) {
    const auto word = [](int64_t i) { return static_cast<uint32_t>(i); };
    const int64_t z = operand(node, 2).integer;
    return exact(static_cast<int32_t>(philox2x32({word(y), word(z)}, word(x))[0]));
  }
  if (node.op == Op::shift_left) return exact(x * (int64_t{1} << y));
  if (node.op == Op::shift_right) return exact(x >> y);
  return open();
}

}  // namespace

Approximation approximate(const Program& program, const program::Inputs& inputs) {
  return approximate_nodes(program, inputs)[static_cast<std::size_t>(program.graph().root)];
}

std::vector<Approximation> approximate_nodes(const Program& program,
                                             const program::Inputs& inputs) {
  return Evaluation(program, inputs).run();
}

}  // namespace fovea::cpu::testing
