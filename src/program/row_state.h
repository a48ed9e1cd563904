// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "program/element.h"
#include "program/interpret.h"
#include "program/row_loops.h"

/// The engine of both row interpreters (RowInterpreter, JointRows): some nodes of a program over a chunk
/// of elements, each node as seldom as what it depends on changes.
namespace fovea::program {

class RowState {
 public:
  static constexpr int64_t kChunk = 256;  // elements: the buffers of a program stay in the cache

  RowState(const Program& program, std::span<const NodeId> outputs);
  RowState(const RowState&) = delete;

  struct Chunk {
    Inputs first;                   // of element 0; element i has kv + i
    int64_t count = 0;              // at most kChunk
    const double* score = nullptr;  // of each, if the program reads it
    const double* dout = nullptr;   // likewise
    const uint8_t* active =
        nullptr;  // if set: where it is 0, faults are none and results undefined
  };

  /// Leaves each output in its buffer. If there is a fault somewhere, the elements are evaluated one by
  /// one instead, and `write(i, inputs)` puts the outputs of element() into the buffers, or throws.
  template <class Write>
  void run(const Chunk& chunk, Write&& write) {
    try {
      if (run_rows(chunk)) return;
      Inputs inputs = chunk.first;
      for (int64_t i = 0; i < chunk.count; ++i) {
        if (chunk.active != nullptr && chunk.active[i] == 0) continue;
        inputs.kv = chunk.first.kv + i;
        if (chunk.score != nullptr) inputs.score = chunk.score[i];
        if (chunk.dout != nullptr) inputs.dout = chunk.dout[i];
        element_.run(inputs);
        write(i, inputs);
      }
      fresh_ = true;  // buffers that are not outputs alone may have changed
    } catch (...) {
      fresh_ = true;
      throw;
    }
  }

  const Graph& graph() const { return *graph_; }
  const ElementState& element() const { return element_; }
  /// Whether a node may differ between the elements of a row.
  bool differs(NodeId id) const { return level(id) >= Level::column; }
  /// Of an output: one entry an element.
  template <class T>
  const T* output(NodeId id) const {
    return reinterpret_cast<const T*>(buffer(id));
  }
  /// One element of an output, in write().
  void put(NodeId id, int64_t i, const Literal& value);

 private:
  // How often a node changes. Everything below `column` is one number, evaluated like an element.
  enum class Level : uint8_t { once, head, row, column, element };
  struct Step {
    NodeId id = -1;
    RowLoop loop = nullptr;  // nullptr: input or gather
    RowArgs args;
  };
  using Steps = std::vector<Step>;

  static Level level_of_input(Input input);
  static Level join(Level a, Level b);

  Level level(NodeId id) const { return levels_[static_cast<std::size_t>(id)]; }
  std::byte* buffer(NodeId id) const { return buffers_[static_cast<std::size_t>(id)]; }
  void find_levels();
  void lay_out_buffers(std::span<const NodeId> outputs);
  void add_node(NodeId id);
  void evaluate_numbers(Level at, const Inputs& inputs);
  void enter_row(const Inputs& inputs);
  uint64_t run_steps(const Steps& steps, const Chunk& chunk);
  uint64_t gather(const Step& step, int64_t count);
  bool run_rows(const Chunk& chunk);  // false if anything has a fault

  Program program_;
  const Graph* graph_;
  ElementState element_;
  std::vector<Level> levels_;
  std::vector<std::byte*> buffers_;  // by node; nullptr: not needed
  std::unique_ptr<std::byte[]> arena_;
  int64_t* offsets_ = nullptr;
  std::vector<NodeId> numbers_[3];  // by level: once, head, row
  bool number_faults_[3] = {false, false, false};
  Steps columns_, elements_;

  Inputs now_;  // whose numbers are in force
  bool fresh_ = true;
  int64_t column_kv0_ = 0, column_count_ = 0;  // what the columns' buffers hold
  uint64_t column_fault_ = 0;
};

}  // namespace fovea::program
