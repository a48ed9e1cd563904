// SPDX-License-Identifier: Apache-2.0
#include "program/interpret.h"

#include <limits>
#include <string>
#include <type_traits>

#include "core/fail.h"
#include "program/element.h"
#include "program/fold.h"
#include "program/read.h"

namespace fovea::program {

namespace {

Literal make(double value) { return make_float(value); }
Literal make(int64_t value) { return make_int(value); }
Literal make(bool value) { return make_bool(value); }

Literal read_at(const TensorView& tensor, int64_t offset) {
  return with_elements(tensor, [offset](const auto* data) { return make(widen(data[offset])); });
}

// What the kernels' safe paths read where there is nothing.
Literal nothing(ScalarType type) {
  Literal value;
  value.type = type;
  if (type == ScalarType::f32) value.f = std::numeric_limits<double>::quiet_NaN();
  return value;
}

bool is_inside(int64_t index, int64_t size) { return index >= 0 && index < size; }

std::string range_text(int64_t size) {
  return size == 0 ? "none (the size is 0)" : "0 to " + std::to_string(size - 1);
}

std::string place(const Inputs& inputs) {
  return " at b=" + std::to_string(inputs.b) + " h=" + std::to_string(inputs.h) +
         " q=" + std::to_string(inputs.q) + " kv=" + std::to_string(inputs.kv);
}

// Of a bool operation: does this operand alone decide the result, with no fault of its own?
bool decides(const Node& node, const Literal& operand) {
  if (node.type != ScalarType::boolean) return false;
  if (node.op == Op::logical_and || node.op == Op::bit_and) return operand.i == 0;
  if (node.op == Op::logical_or || node.op == Op::bit_or) return operand.i != 0;
  return false;
}

}  // namespace

void require_readable(const TensorView& tensor, int slot) {
  const std::string rule = "captured tensor t" + std::to_string(slot);
  if (tensor.device.type != DeviceType::cpu) {
    core::fail_argument("interpret", rule, "memory on the CPU", "memory on another device");
  }
  if (tensor.data == nullptr && tensor.numel() > 0) {
    core::fail_argument("interpret", rule, "a bound tensor", "none");
  }
}

Literal read_element(const TensorView& tensor, std::span<const int64_t> indices) {
  core::require(indices.size() == static_cast<std::size_t>(tensor.rank()), "read_element",
                "number of indices", tensor.rank(), indices.size());
  int64_t offset = 0;
  for (int i = 0; i < tensor.rank(); ++i) {
    const int64_t index = indices[static_cast<std::size_t>(i)];
    core::require(is_inside(index, tensor.size(i)), "read_element", "index",
                  range_text(tensor.size(i)), index);
    offset += index * tensor.stride(i);
  }
  core::require(tensor.data != nullptr, "read_element", "tensor", "memory", "none");
  return read_at(tensor, offset);
}

ElementState::ElementState(const Program& program)
    : program_(&program),
      graph_(&program.graph()),
      values_(graph_->nodes.size()),
      faults_(graph_->nodes.size(), -1) {
  int slot = 0;
  for (const TensorView& tensor : program.captures()) require_readable(tensor, slot++);
}

NodeId ElementState::propagated_fault(const Node& node) const {
  const auto args = graph_->args(node);
  const auto fault_of = [this](NodeId id) { return faults_[static_cast<std::size_t>(id)]; };
  if (node.op == Op::where && fault_of(args[0]) < 0) {
    return fault_of(value(args[0]).i != 0 ? args[1] : args[2]);
  }
  NodeId first = -1;
  for (const NodeId arg : args) {
    const NodeId fault = fault_of(arg);
    if (fault < 0 && decides(node, value(arg))) return -1;
    if (first < 0) first = fault;
  }
  return first;
}

void ElementState::evaluate(NodeId id, const Inputs& inputs) {
  const Node& node = (*graph_)[id];
  Literal& out = values_[static_cast<std::size_t>(id)];
  if (node.op == Op::input) {
    switch (static_cast<Input>(node.slot)) {
      case Input::score: out = make_float(inputs.score); return;
      case Input::b: out = make_int(inputs.b); return;
      case Input::h: out = make_int(inputs.h); return;
      case Input::q: out = make_int(inputs.q); return;
      case Input::kv: out = make_int(inputs.kv); return;
      case Input::dout: out = make_float(inputs.dout); return;
    }
  }
  if (node.op == Op::constant) {
    out = node.literal;
    return;
  }
  if (node.op == Op::param) {
    out = program_->params()[static_cast<std::size_t>(node.slot)];
    return;
  }
  fault(id) = propagated_fault(node);
  if (node.op == Op::gather) return evaluate_gather(id);
  std::array<Literal, 3> args{};
  std::size_t count = 0;
  for (const NodeId arg : graph_->args(node)) args[count++] = value(arg);
  uint64_t own_fault = 0;
  out = fold(node.op, std::span(args.data(), count), own_fault);
  if (own_fault != 0 && fault(id) < 0) fault(id) = id;
}

void ElementState::evaluate_gather(NodeId id) {
  const Node& node = (*graph_)[id];
  const TensorView& tensor = program_->captures()[static_cast<std::size_t>(node.slot)];
  Literal& out = values_[static_cast<std::size_t>(id)];
  out = nothing(node.type);
  if (fault(id) >= 0) return;
  int64_t offset = 0;
  int dimension = 0;
  for (const NodeId arg : graph_->args(node)) {
    const int64_t index = value(arg).i;
    if (!is_inside(index, tensor.size(dimension))) {
      fault(id) = id;
      return;
    }
    offset += index * tensor.stride(dimension++);
  }
  if (tensor.data == nullptr) require_readable(tensor, node.slot);
  out = read_at(tensor, offset);
}

void ElementState::fail(NodeId origin, const Inputs& inputs) const {
  const Node& node = (*graph_)[origin];
  const auto args = graph_->args(node);
  if (node.op == Op::gather) {
    const TensorView& tensor = program_->captures()[static_cast<std::size_t>(node.slot)];
    for (int i = 0; i < tensor.rank(); ++i) {
      const int64_t index = value(args[static_cast<std::size_t>(i)]).i;
      if (is_inside(index, tensor.size(i))) continue;
      core::fail_argument("interpret",
                          "index " + std::to_string(i) + " of captured tensor t" +
                              std::to_string(node.slot) + place(inputs),
                          range_text(tensor.size(i)), std::to_string(index));
    }
  }
  std::string got(display_name(node.op));
  got += " of ";
  got += std::to_string(value(args[0]).i);
  if (args.size() > 1) got += " and " + std::to_string(value(args[1]).i);
  const bool shifts = node.op == Op::shift_left || node.op == Op::shift_right;
  const bool divides = node.op == Op::floor_div || node.op == Op::mod;
  const int64_t right = args.size() > 1 ? value(args[1]).i : 0;
  if (divides && right == 0) {
    core::fail_argument("interpret", "integer divisor" + place(inputs), "not 0", got);
  }
  if (shifts && !is_inside(right, 64)) {
    core::fail_argument("interpret", "shift count" + place(inputs), "0 to 63", got);
  }
  core::fail_argument("interpret", "integer result" + place(inputs), "64 bits to hold it", got);
}

Literal ElementState::run(const Inputs& inputs) {
  for (NodeId id = 0; id < graph_->size(); ++id) evaluate(id, inputs);
  return result(graph_->root, inputs);
}

Literal ElementState::result(NodeId id, const Inputs& inputs) const {
  const NodeId origin = fault(id);
  if (origin >= 0) fail(origin, inputs);
  return value(id);
}

Literal interpret(const Program& program, const Inputs& inputs) {
  return ElementState(program).run(inputs);
}

}  // namespace fovea::program
