// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <string>

#include <fovea/error.h>
#include "program/interpret.h"
#include "program/row_state.h"

namespace fovea::program {

struct RowInterpreter::State {
  explicit State(const Program& program) : rows(program, std::span(&program.graph().root, 1)) {
    for (const Node& node : program.graph().nodes) {
      if (node.op != Op::input || static_cast<Input>(node.slot) != Input::dout) continue;
      throw InternalError("[interpret] rows: expected a program without dout, got a JointProgram");
    }
    // So that a run over few elements allocates nothing.
    (program.kind() == ModKind::mask ? reserve(mask_results) : reserve(score_results));
  }

  template <class T>
  static void reserve(std::vector<T>& results) {
    results.reserve(RowState::kChunk);
  }

  template <class T>
  std::span<const T> run(const Inputs& inputs, int64_t count, const double* scores,
                         const uint8_t* active, std::vector<T>& results) {
    results.resize(static_cast<std::size_t>(count));
    evaluated += count;
    const NodeId root = rows.graph().root;
    for (int64_t i = 0; i < count; i += RowState::kChunk) {
      RowState::Chunk chunk{.first = inputs, .count = std::min(RowState::kChunk, count - i)};
      chunk.first.kv += i;
      if (scores != nullptr) chunk.score = scores + i;
      if (active != nullptr) chunk.active = active + i;
      rows.run(chunk, [&](int64_t at, const Inputs& element) {
        rows.put(root, at, rows.element().result(root, element));
      });
      std::copy_n(rows.output<T>(root), chunk.count, results.begin() + i);
    }
    return results;
  }

  RowState rows;
  int64_t evaluated = 0;
  std::vector<uint8_t> mask_results;
  std::vector<double> score_results;
};

RowInterpreter::RowInterpreter(const Program& program) : state_(std::make_unique<State>(program)) {}
RowInterpreter::~RowInterpreter() = default;
RowInterpreter::RowInterpreter(RowInterpreter&&) noexcept = default;

std::span<const uint8_t> RowInterpreter::run_mask(int64_t b, int64_t h, int64_t q, int64_t kv0,
                                                  int64_t count) {
  const ModKind kind = state_->rows.graph().kind;
  if (kind != ModKind::mask) {
    throw InternalError(std::string("[interpret] run_mask: expected a mask_mod, got a ") +
                        name_of(kind));
  }
  return state_->run({.b = b, .h = h, .q = q, .kv = kv0}, count, nullptr, nullptr,
                     state_->mask_results);
}

std::span<const double> RowInterpreter::run_score(int64_t b, int64_t h, int64_t q, int64_t kv0,
                                                  std::span<const double> score,
                                                  const uint8_t* active) {
  if (state_->rows.graph().kind == ModKind::mask) {
    throw InternalError("[interpret] run_score: expected a score_mod, got a mask_mod");
  }
  return state_->run({.b = b, .h = h, .q = q, .kv = kv0}, static_cast<int64_t>(score.size()),
                     score.data(), active, state_->score_results);
}

int64_t RowInterpreter::elements_evaluated() const noexcept { return state_->evaluated; }

}  // namespace fovea::program
