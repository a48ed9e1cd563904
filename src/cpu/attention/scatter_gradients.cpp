// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/scatter_gradients.h"

#include <cstddef>
#include <vector>

#include <fovea/error.h>
#include <fovea/program.h>
#include "analysis/dependence.h"
#include "program/element.h"

namespace fovea::cpu {

using analysis::IndexClass;
using program::NodeId;

SumRange sum_range(IndexClass index, int64_t q0, int64_t rows, int64_t kv0, int64_t cols) {
  switch (index) {
    case IndexClass::scalar: return {0, 1};
    case IndexClass::row: return {q0, rows};
    case IndexClass::column: return {kv0, cols};
    case IndexClass::diagonal:
      return {kv0 - q0 - rows + 1, rows > 0 && cols > 0 ? rows + cols - 1 : 0};
    case IndexClass::tile:
    case IndexClass::gathered: break;
  }
  return {};
}

struct GradientScatter::State {
  // One index, by position. Kept from call to call: most do not depend on the head.
  struct Axis {
    NodeId node = -1;
    std::vector<NodeId> steps;  // what it is computed from, operands first
    bool reads_b = false, reads_h = false;
    int64_t b = -1, h = -1, first = 0;
    std::vector<int64_t> index;  // -1: none
  };

  State(const program::JointProgram& joint, const Program& mod, std::size_t contribution)
      : bound(joint.graph, {mod.params().begin(), mod.params().end()},
              {mod.captures().begin(), mod.captures().end()}),
        element(bound) {
    index_class = analysis::classify(joint)[contribution].index;
    const auto nodes = analysis::dependence(*joint.graph);
    for (const NodeId node : joint.captures[contribution].index) {
      const auto& d = nodes[static_cast<std::size_t>(node)];
      Axis& axis = axes.emplace_back();
      axis.node = node;
      axis.steps = steps_of(node);
      axis.reads_b = d.b;
      axis.reads_h = d.h;
    }
  }

  std::vector<NodeId> steps_of(NodeId node) const {
    const program::Graph& graph = bound.graph();
    std::vector<bool> needed(graph.nodes.size(), false);
    needed[static_cast<std::size_t>(node)] = true;
    std::vector<NodeId> steps;
    for (NodeId id = node; id >= 0; --id) {
      if (!needed[static_cast<std::size_t>(id)]) continue;
      steps.push_back(id);
      for (const NodeId arg : graph.args(id)) needed[static_cast<std::size_t>(arg)] = true;
    }
    return {steps.rbegin(), steps.rend()};
  }

  program::Inputs inputs(int64_t b, int64_t h, int64_t position) const {
    program::Inputs at{.b = b, .h = h};
    if (index_class == IndexClass::row) at.q = position;
    if (index_class == IndexClass::column) at.kv = position;
    if (index_class == IndexClass::diagonal) at.q = -position;  // (q, kv) = (q - kv, 0)
    return at;
  }

  void fill(Axis& axis, int64_t b, int64_t h, int64_t first, std::size_t count) {
    const bool same = (!axis.reads_b || axis.b == b) && (!axis.reads_h || axis.h == h) &&
                      axis.first == first && axis.index.size() == count;
    if (same) return;
    axis.b = b;
    axis.h = h;
    axis.first = first;
    axis.index.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      const program::Inputs at = inputs(b, h, first + static_cast<int64_t>(i));
      for (const NodeId id : axis.steps) element.evaluate(id, at);
      axis.index[i] = element.has_fault(axis.node) ? -1 : element.value(axis.node).i;
    }
  }

  template <class T, class Sum>
  void add(std::span<const Sum> sums, const TensorView& gradient) const {
    T* const data = static_cast<T*>(gradient.data);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      int64_t offset = 0;
      bool inside = true;
      for (std::size_t k = 0; inside && k < axes.size(); ++k) {
        const int64_t at = axes[k].index[i];
        inside = at >= 0 && at < gradient.size(static_cast<int>(k));
        offset += at * gradient.stride(static_cast<int>(k));
      }
      if (inside) data[offset] += static_cast<T>(sums[i]);
    }
  }

  template <class Sum>
  void add(int64_t b, int64_t h, int64_t first, std::span<const Sum> sums,
           const TensorView& gradient) {
    for (Axis& axis : axes) fill(axis, b, h, first, sums.size());
    if (gradient.dtype == DType::f64) {
      add<double>(sums, gradient);
    } else {
      add<float>(sums, gradient);
    }
  }

  Program bound;
  program::ElementState element;
  IndexClass index_class = IndexClass::scalar;
  std::vector<Axis> axes;
};

GradientScatter::GradientScatter(const program::JointProgram& joint, const Program& mod,
                                 std::size_t contribution)
    : state_(std::make_unique<State>(joint, mod, contribution)) {}
GradientScatter::~GradientScatter() = default;
GradientScatter::GradientScatter(GradientScatter&&) noexcept = default;

void GradientScatter::add(int64_t b, int64_t h, int64_t first, std::span<const float> sums,
                          const TensorView& gradient) {
  state_->add(b, h, first, sums, gradient);
}
void GradientScatter::add(int64_t b, int64_t h, int64_t first, std::span<const double> sums,
                          const TensorView& gradient) {
  state_->add(b, h, first, sums, gradient);
}

}  // namespace fovea::cpu
