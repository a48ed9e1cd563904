// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "core/fail.h"
#include "program/element.h"
#include "program/interpret.h"
#include "program/read.h"
#include "program/row_loops.h"

namespace fovea::program {

namespace {

constexpr int64_t kChunk = 256;  // elements at a time: the buffers of a program stay in the cache

// How often a node changes. Everything below `column` is one number, evaluated like an element.
enum class Level : uint8_t { once, head, row, column, element };

Level level_of_input(Input input) {
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

Level join(Level a, Level b) {
  const auto [low, high] = std::minmax(a, b);
  return low == Level::row && high == Level::column ? Level::element : high;
}

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

struct RowInterpreter::State {
  struct Step {
    NodeId id = -1;
    RowLoop loop = nullptr;  // nullptr: input or gather
    RowArgs args;
  };
  using Steps = std::vector<Step>;

  explicit State(const Program& source)
      : program(source), graph(program.graph()), element(program), buffers(graph.nodes.size()) {
    find_levels();
    lay_out_buffers();
    for (NodeId id = 0; id < graph.size(); ++id) add_node(id);
  }

  Level level(NodeId id) const { return levels[static_cast<std::size_t>(id)]; }
  bool is_row(NodeId id) const { return level(id) >= Level::column; }
  std::byte* buffer(NodeId id) { return buffers[static_cast<std::size_t>(id)]; }

  void find_levels() {
    for (const Node& node : graph.nodes) {
      Level here = Level::once;
      if (node.op == Op::input) here = level_of_input(static_cast<Input>(node.slot));
      for (const NodeId arg : graph.args(node)) here = join(here, level(arg));
      levels.push_back(here);
    }
  }

  // Rows get a buffer, and so do the numbers that rows are computed from.
  void lay_out_buffers() {
    std::vector<bool> needed(graph.nodes.size(), false);
    needed[static_cast<std::size_t>(graph.root)] = true;
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (!is_row(id)) continue;
      needed[static_cast<std::size_t>(id)] = true;
      if (graph[id].op == Op::gather) continue;  // reads numbers as they are
      for (const NodeId arg : graph.args(id)) needed[static_cast<std::size_t>(arg)] = true;
    }
    std::size_t bytes = kChunk * sizeof(int64_t);  // offsets of gathers
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (needed[static_cast<std::size_t>(id)]) bytes += kChunk * bytes_of(graph[id].type);
    }
    arena = std::make_unique<std::byte[]>(bytes);
    std::byte* next = arena.get();
    offsets = reinterpret_cast<int64_t*>(next);
    next += kChunk * sizeof(int64_t);
    for (NodeId id = 0; id < graph.size(); ++id) {
      if (!needed[static_cast<std::size_t>(id)]) continue;
      buffers[static_cast<std::size_t>(id)] = next;
      next += kChunk * bytes_of(graph[id].type);
    }
  }

  void add_node(NodeId id) {
    const Node& node = graph[id];
    if (!is_row(id)) {
      numbers[static_cast<std::size_t>(level(id))].push_back(id);
      return;
    }
    if (node.op == Op::input && static_cast<Input>(node.slot) == Input::dout) {
      throw InternalError("[interpret] rows: expected a program without dout, got a JointProgram");
    }
    Step step;
    step.id = id;
    step.args.out = buffer(id);
    if (node.count > 0 && node.op != Op::gather) {
      const auto args = graph.args(node);
      std::size_t i = 0;
      for (const NodeId arg : args) step.args.operands[i++] = buffer(arg);
      step.loop = row_loop_of(node.op, graph[node.op == Op::where ? args[1] : args[0]].type);
    }
    (level(id) == Level::column ? columns : elements).push_back(step);
  }

  // Evaluates the numbers of a level and spreads those that rows read.
  void evaluate_numbers(Level at, const Inputs& inputs) {
    bool& fault = number_faults[static_cast<std::size_t>(at)];
    fault = false;
    for (const NodeId id : numbers[static_cast<std::size_t>(at)]) {
      element.evaluate(id, inputs);
      // A gather of rows reads the number itself, so any fault may reach it.
      fault = fault || element.has_fault(id);
      if (buffer(id) != nullptr) splat(element.value(id), buffer(id), kChunk);
    }
  }

  void enter_row(const Inputs& inputs) {
    const bool new_head = fresh || inputs.b != now.b || inputs.h != now.h;
    const bool new_row = new_head || inputs.q != now.q;
    if (fresh) evaluate_numbers(Level::once, inputs);
    if (new_head) evaluate_numbers(Level::head, inputs);
    if (new_row) evaluate_numbers(Level::row, inputs);
    if (new_head) column_count = 0;
    now = inputs;
    fresh = false;
  }

  uint64_t run_steps(const Steps& steps, int64_t kv0, int64_t count) {
    uint64_t fault = 0;
    for (const Step& step : steps) {
      if (step.loop != nullptr) {
        fault |= step.loop(step.args, count);
      } else if (graph[step.id].op == Op::gather) {
        fault |= gather(step, count);
      } else if (static_cast<Input>(graph[step.id].slot) == Input::kv) {
        auto* out = static_cast<int64_t*>(step.args.out);
        for (int64_t i = 0; i < count; ++i) out[i] = kv0 + i;
      } else {
        std::copy_n(score, count, static_cast<double*>(step.args.out));
      }
    }
    return fault;
  }

  uint64_t gather(const Step& step, int64_t count) {
    const Node& node = graph[step.id];
    const TensorView& tensor = program.captures()[static_cast<std::size_t>(node.slot)];
    uint64_t outside = 0;
    int64_t base = 0;
    int dimension = 0;
    std::fill_n(offsets, count, 0);
    for (const NodeId arg : graph.args(node)) {
      const auto size = static_cast<uint64_t>(tensor.size(dimension));
      const int64_t stride = tensor.stride(dimension++);
      if (!is_row(arg)) {
        const int64_t index = element.value(arg).i;
        outside |= static_cast<uint64_t>(index) >= size ? 1 : 0;
        if (outside == 0) base += index * stride;
        continue;
      }
      const auto* indices = reinterpret_cast<const int64_t*>(buffer(arg));
      for (int64_t i = 0; i < count; ++i) {
        outside |= static_cast<uint64_t>(indices[i]) >= size ? 1 : 0;
      }
      if (outside != 0) break;
      for (int64_t i = 0; i < count; ++i) offsets[i] += indices[i] * stride;
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
      for (int64_t i = 0; i < count; ++i) out[i] = widen(data[base + offsets[i]]);
    });
    return 0;
  }

  // Fills the root's buffer for kv0 <= kv < kv0 + count <= kv0 + kChunk.
  void run_chunk(int64_t kv0, int64_t count) {
    if (column_kv0 != kv0 || column_count != count) {
      column_count = 0;
      column_fault = run_steps(columns, kv0, count);
      column_kv0 = kv0;
      column_count = count;
    }
    const uint64_t fault = run_steps(elements, kv0, count) | column_fault;
    if (fault == 0 && !number_faults[0] && !number_faults[1] && !number_faults[2]) return;
    run_one_by_one(kv0, count);
  }

  // A fault somewhere: whether it matters, and to which element, only these can say.
  void run_one_by_one(int64_t kv0, int64_t count) {
    Inputs inputs = now;
    std::byte* out = buffer(graph.root);
    const std::size_t bytes = bytes_of(graph[graph.root].type);
    column_count = 0;  // if the root is a column, its buffer is about to change
    for (int64_t i = 0; i < count; ++i) {
      inputs.kv = kv0 + i;
      if (score != nullptr) inputs.score = score[i];
      splat(element.run(inputs), out + static_cast<std::size_t>(i) * bytes, 1);
    }
    if (!is_row(graph.root)) fresh = true;  // likewise
  }

  template <class T>
  std::span<const T> run(const Inputs& inputs, int64_t count, const double* scores,
                         std::vector<T>& results) {
    results.resize(static_cast<std::size_t>(count));
    evaluated += count;
    if (count == 0) return results;
    try {
      enter_row(inputs);
      for (int64_t i = 0; i < count; i += kChunk) {
        const int64_t n = std::min(kChunk, count - i);
        score = scores == nullptr ? nullptr : scores + i;
        if (fresh) enter_row(inputs);
        run_chunk(inputs.kv + i, n);
        const auto* root = reinterpret_cast<const T*>(buffer(graph.root));
        std::copy_n(root, n, results.begin() + i);
      }
    } catch (...) {
      fresh = true;
      throw;
    }
    return results;
  }

  Program program;
  const Graph& graph;
  ElementState element;
  std::vector<Level> levels;
  std::vector<std::byte*> buffers;  // by node; nullptr: not needed
  std::unique_ptr<std::byte[]> arena;
  int64_t* offsets = nullptr;
  std::vector<NodeId> numbers[3];  // by level: once, head, row
  bool number_faults[3] = {false, false, false};
  Steps columns, elements;

  Inputs now;  // whose numbers are in force
  bool fresh = true;
  int64_t column_kv0 = 0, column_count = 0;  // what the columns' buffers hold
  uint64_t column_fault = 0;
  const double* score = nullptr;
  int64_t evaluated = 0;
  std::vector<uint8_t> mask_results;
  std::vector<double> score_results;
};

RowInterpreter::RowInterpreter(const Program& program) : state_(std::make_unique<State>(program)) {}
RowInterpreter::~RowInterpreter() = default;
RowInterpreter::RowInterpreter(RowInterpreter&&) noexcept = default;

std::span<const uint8_t> RowInterpreter::run_mask(int64_t b, int64_t h, int64_t q, int64_t kv0,
                                                  int64_t count) {
  if (state_->graph.kind != ModKind::mask) {
    throw InternalError(std::string("[interpret] run_mask: expected a mask_mod, got a ") +
                        name_of(state_->graph.kind));
  }
  return state_->run({.b = b, .h = h, .q = q, .kv = kv0}, count, nullptr, state_->mask_results);
}

std::span<const double> RowInterpreter::run_score(int64_t b, int64_t h, int64_t q, int64_t kv0,
                                                  std::span<const double> score) {
  if (state_->graph.kind == ModKind::mask) {
    throw InternalError("[interpret] run_score: expected a score_mod, got a mask_mod");
  }
  return state_->run({.b = b, .h = h, .q = q, .kv = kv0}, static_cast<int64_t>(score.size()),
                     score.data(), state_->score_results);
}

int64_t RowInterpreter::elements_evaluated() const noexcept { return state_->evaluated; }

}  // namespace fovea::program
