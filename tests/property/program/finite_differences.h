// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <fovea/program.h>
#include "program/element.h"

/// Central differences of a program in float64, and where they mean something.
namespace fovea::test {

/// A program on float64 memory of its own: what it captures of any float dtype is copied, so that a
/// test may change an element by a small step.
class Float64Program {
 public:
  explicit Float64Program(const Program& program) {
    memory_.resize(program.captures().size());
    std::string text = program.to_string();
    const std::size_t head = text.find('{');
    std::string declarations = text.substr(0, head);
    for (const char* dtype : {": f32[", ": bf16[", ": f16["}) {
      for (std::size_t at; (at = declarations.find(dtype)) != std::string::npos;) {
        declarations.replace(at, std::string(dtype).size(), ": f64[");
      }
    }
    std::vector<TensorView> captures;
    for (const TensorView& tensor : program.captures()) {
      captures.push_back(is_floating(tensor.dtype) ? copy(tensor, memory_[captures.size()])
                                                   : tensor);
    }
    program_ = parse_program(declarations + text.substr(head), captures);
  }
  Float64Program(const Float64Program&) = delete;
  Float64Program& operator=(const Float64Program&) = delete;

  const Program& program() const { return program_; }
  double& element(int32_t slot, int64_t offset) {
    return memory_[static_cast<std::size_t>(slot)][static_cast<std::size_t>(offset)];
  }

 private:
  static TensorView copy(const TensorView& tensor, std::vector<double>& memory) {
    std::vector<int64_t> index(static_cast<std::size_t>(tensor.rank()), 0);
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      memory.push_back(program::read_element(tensor, index).f);
      for (int d = tensor.rank() - 1; d >= 0; --d) {
        int64_t& at = index[static_cast<std::size_t>(d)];
        if (++at < tensor.size(d)) break;
        at = 0;
      }
    }
    return view(memory.data(), tensor.sizes);
  }

  std::vector<std::vector<double>> memory_;
  Program program_;
};

/// One element of a program with everything that it decided: which branches, which side of a kink,
/// which integers. Between two points that decided alike the program is smooth.
class Evaluation {
 public:
  Evaluation(const Program& program, const program::Inputs& inputs)
      : graph_(program.graph()), element_(program) {
    for (program::NodeId id = 0; id < graph_.size(); ++id) element_.evaluate(id, inputs);
    find_live();
    for (program::NodeId id = 0; id < graph_.size(); ++id) {
      if (live_[static_cast<std::size_t>(id)]) decisions_.push_back(decision(id));
    }
  }

  bool fails(program::NodeId id) const { return element_.has_fault(id); }
  double result() const { return number(graph_.root); }
  bool decided_like(const Evaluation& other) const { return decisions_ == other.decisions_; }
  bool is_live(program::NodeId id) const { return live_[static_cast<std::size_t>(id)]; }
  const Literal& value(program::NodeId id) const { return element_.value(id); }

  /// Of the floats that the result depends on; NaN if one is NaN.
  double largest() const {
    double largest = 0;
    for (program::NodeId id = 0; id < graph_.size(); ++id) {
      if (!is_live(id) || graph_[id].type != ScalarType::f32 || element_.has_fault(id)) continue;
      const double x = std::fabs(number(id));
      if (std::isnan(x)) return x;
      largest = std::max(largest, x);
    }
    return largest;
  }

 private:
  double number(program::NodeId id) const { return element_.value(id).f; }

  // What the result depends on here: not the branches that are not taken.
  void find_live() {
    live_.assign(graph_.nodes.size(), false);
    live_[static_cast<std::size_t>(graph_.root)] = true;
    for (program::NodeId id = graph_.root; id >= 0; --id) {
      if (!is_live(id)) continue;
      const auto args = graph_.args(id);
      const bool selects = graph_[id].op == program::Op::where;
      const std::size_t skipped = selects ? (element_.value(args[0]).i != 0 ? 2u : 1u) : 3u;
      for (std::size_t i = 0; i < args.size(); ++i) {
        if (!selects || i != skipped) live_[static_cast<std::size_t>(args[i])] = true;
      }
    }
  }

  double decision(program::NodeId id) const {
    using program::Op;
    if (element_.has_fault(id)) return std::numeric_limits<double>::infinity();
    const program::Node& node = graph_[id];
    if (node.type != ScalarType::f32) return static_cast<double>(element_.value(id).i);
    const auto arg = [&](std::size_t i) { return number(graph_.args(node)[i]); };
    const auto sign = [](double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; };
    const Op op = node.op;
    if (op == Op::min || op == Op::max) return sign(arg(0) - arg(1));
    if (op == Op::abs) return sign(arg(0));
    if (op == Op::mod) return std::round((arg(0) - number(id)) / arg(1));
    const bool rounds = op == Op::floor || op == Op::ceil || op == Op::trunc || op == Op::round;
    return rounds ? number(id) : 0;
  }

  const program::Graph& graph_;
  program::ElementState element_;
  std::vector<bool> live_;
  std::vector<double> decisions_;
};

/// The slope of f at x by central differences of two steps.
struct Difference {
  double slope = 0;  // extrapolated from both
  double error = 0;  // how far they are apart
};

template <class F>
Difference central_difference(F&& f, double x, double step) {
  const auto slope = [&](double h) { return (f(x + h) - f(x - h)) / ((x + h) - (x - h)); };
  const double coarse = slope(step), fine = slope(step / 2);
  return {fine + (fine - coarse) / 3, std::fabs(fine - coarse)};
}

}  // namespace fovea::test
