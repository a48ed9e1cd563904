// SPDX-License-Identifier: Apache-2.0
#include "program/row_state.h"

#include <algorithm>

#include "program/read.h"

namespace fovea::program {

namespace {

std::size_t bytes_of(ScalarType type) { return type == ScalarType::boolean ? 1 : 8; }

void splat(const Literal& value, void* out, int64_t count) {
  switch (value.type) {
    case ScalarType::f32: std::fill_n(static_cast<double*>(out), count, value.f); break;
    case ScalarType::i32: std::fill_n(static_cast<int64_t*>(out), count, value.i); break;
    case ScalarType::boolean:
      std::fill_n(static_cast<uint8_t*>(out), count, static_cast<uint8_t>(value.i));
      break;
  }
}

}  // namespace

RowState::RowState(const Program& program, std::span<const NodeId> outputs)
    : program_(program),
      graph_(&program_.graph()),
      element_(program_),
      buffers_(graph_->nodes.size()) {
  find_levels();
  lay_out_buffers(outputs);
  for (NodeId id = 0; id < graph_->size(); ++id) add_node(id);
}

RowState::Level RowState::level_of_input(Input input) {
  switch (input) {
    case Input::score:
    case Input::dout: return Level::element;
    case Input::b:
    case Input::h: return Level::head;
    case Input::q: return Level::row;
    case Input::kv: return Level::column;
  }
  return Level::element;
}

RowState::Level RowState::join(Level a, Level b) {
  const auto [low, high] = std::minmax(a, b);
  return low == Level::row && high == Level::column ? Level::element : high;
}

void RowState::put(NodeId id, int64_t i, const Literal& value) {
  const std::size_t bytes = bytes_of((*graph_)[id].type);
  splat(value, buffer(id) + static_cast<std::size_t>(i) * bytes, 1);
}

void RowState::find_levels() {
  for (const Node& node : graph_->nodes) {
    Level here = Level::once;
    if (node.op == Op::input) here = level_of_input(static_cast<Input>(node.slot));
    for (const NodeId arg : graph_->args(node)) here = join(here, level(arg));
    levels_.push_back(here);
  }
}

// Rows get a buffer, and so do outputs and the numbers that rows are computed from.
void RowState::lay_out_buffers(std::span<const NodeId> outputs) {
  std::vector<bool> needed(graph_->nodes.size(), false);
  for (const NodeId id : outputs) needed[static_cast<std::size_t>(id)] = true;
  for (NodeId id = 0; id < graph_->size(); ++id) {
    if (!differs(id)) continue;
    needed[static_cast<std::size_t>(id)] = true;
    if ((*graph_)[id].op == Op::gather) continue;  // reads numbers as they are
    for (const NodeId arg : graph_->args(id)) needed[static_cast<std::size_t>(arg)] = true;
  }
  std::size_t bytes = kChunk * sizeof(int64_t);  // offsets of gathers
  for (NodeId id = 0; id < graph_->size(); ++id) {
    if (needed[static_cast<std::size_t>(id)]) bytes += kChunk * bytes_of((*graph_)[id].type);
  }
  arena_ = std::make_unique<std::byte[]>(bytes);
  std::byte* next = arena_.get();
  offsets_ = reinterpret_cast<int64_t*>(next);
  next += kChunk * sizeof(int64_t);
  for (NodeId id = 0; id < graph_->size(); ++id) {
    if (!needed[static_cast<std::size_t>(id)]) continue;
    buffers_[static_cast<std::size_t>(id)] = next;
    next += kChunk * bytes_of((*graph_)[id].type);
  }
}

void RowState::add_node(NodeId id) {
  const Node& node = (*graph_)[id];
  if (!differs(id)) {
    numbers_[static_cast<std::size_t>(level(id))].push_back(id);
    return;
  }
  Step step;
  step.id = id;
  step.args.out = buffer(id);
  if (node.count > 0 && node.op != Op::gather) {
    const auto args = graph_->args(node);
    std::size_t i = 0;
    for (const NodeId arg : args) step.args.operands[i++] = buffer(arg);
    step.loop = row_loop_of(node.op, (*graph_)[node.op == Op::where ? args[1] : args[0]].type);
  }
  (level(id) == Level::column ? columns_ : elements_).push_back(step);
}

// Evaluates the numbers of a level and spreads those that rows read.
void RowState::evaluate_numbers(Level at, const Inputs& inputs) {
  bool& fault = number_faults_[static_cast<std::size_t>(at)];
  fault = false;
  for (const NodeId id : numbers_[static_cast<std::size_t>(at)]) {
    element_.evaluate(id, inputs);
    // A gather of rows reads the number itself, so any fault may reach it.
    fault = fault || element_.has_fault(id);
    if (buffer(id) != nullptr) splat(element_.value(id), buffer(id), kChunk);
  }
}

void RowState::enter_row(const Inputs& inputs) {
  const bool new_head = fresh_ || inputs.b != now_.b || inputs.h != now_.h;
  const bool new_row = new_head || inputs.q != now_.q;
  if (fresh_) evaluate_numbers(Level::once, inputs);
  if (new_head) evaluate_numbers(Level::head, inputs);
  if (new_row) evaluate_numbers(Level::row, inputs);
  if (new_head) column_count_ = 0;
  now_ = inputs;
  fresh_ = false;
}

uint64_t RowState::run_steps(const Steps& steps, const Chunk& chunk) {
  uint64_t fault = 0;
  for (const Step& step : steps) {
    const Node& node = (*graph_)[step.id];
    if (step.loop != nullptr) {
      fault |= step.loop(step.args, chunk.count);
    } else if (node.op == Op::gather) {
      fault |= gather(step, chunk.count);
    } else if (static_cast<Input>(node.slot) == Input::kv) {
      auto* out = static_cast<int64_t*>(step.args.out);
      for (int64_t i = 0; i < chunk.count; ++i) out[i] = chunk.first.kv + i;
    } else {
      const bool is_dout = static_cast<Input>(node.slot) == Input::dout;
      std::copy_n(is_dout ? chunk.dout : chunk.score, chunk.count,
                  static_cast<double*>(step.args.out));
    }
  }
  return fault;
}

uint64_t RowState::gather(const Step& step, int64_t count) {
  const Node& node = (*graph_)[step.id];
  const TensorView& tensor = program_.captures()[static_cast<std::size_t>(node.slot)];
  uint64_t outside = 0;
  int64_t base = 0;
  int dimension = 0;
  std::fill_n(offsets_, count, 0);
  for (const NodeId arg : graph_->args(node)) {
    const auto size = static_cast<uint64_t>(tensor.size(dimension));
    const int64_t stride = tensor.stride(dimension++);
    if (!differs(arg)) {
      const int64_t index = element_.value(arg).i;
      outside |= static_cast<uint64_t>(index) >= size ? 1 : 0;
      if (outside == 0) base += index * stride;
      continue;
    }
    const auto* indices = output<int64_t>(arg);
    for (int64_t i = 0; i < count; ++i) {
      outside |= static_cast<uint64_t>(indices[i]) >= size ? 1 : 0;
    }
    if (outside != 0) break;
    for (int64_t i = 0; i < count; ++i) offsets_[i] += indices[i] * stride;
  }
  if (outside != 0 || tensor.data == nullptr) {  // the elements will be evaluated one by one
    Literal zero;
    zero.type = node.type;
    splat(zero, step.args.out, count);
    return 1;
  }
  with_elements(tensor, [&](const auto* data) {
    using Wide = decltype(widen(data[0]));
    auto* out = static_cast<Wide*>(step.args.out);
    for (int64_t i = 0; i < count; ++i) out[i] = widen(data[base + offsets_[i]]);
  });
  return 0;
}

bool RowState::run_rows(const Chunk& chunk) {
  enter_row(chunk.first);
  if (column_kv0_ != chunk.first.kv || column_count_ != chunk.count) {
    column_count_ = 0;
    column_fault_ = run_steps(columns_, chunk);
    column_kv0_ = chunk.first.kv;
    column_count_ = chunk.count;
  }
  const uint64_t fault = run_steps(elements_, chunk) | column_fault_;
  return fault == 0 && !number_faults_[0] && !number_faults_[1] && !number_faults_[2];
}

}  // namespace fovea::program
