// SPDX-License-Identifier: Apache-2.0
#include "analysis/bounds.h"

#include <utility>

#include "analysis/interval_program.h"

namespace fovea::analysis {

struct Bounds::State {
  IntervalProgram intervals;
  program::NodeId root;
};

Bounds::Bounds(const Program& program)
    : Bounds(std::make_unique<State>(
          State{IntervalProgram(program, std::make_shared<RangeTables>(program.captures()), {}),
                program.graph().root})) {}

Bounds::Bounds(std::unique_ptr<State> state) : state_(std::move(state)) {}
Bounds::~Bounds() = default;
Bounds::Bounds(Bounds&&) noexcept = default;

Bounds Bounds::clone() const { return Bounds(std::make_unique<State>(*state_)); }

const Interval& Bounds::at(const Box& box) {
  state_->intervals.run(box);
  return state_->intervals.value(state_->root);
}

const Interval& Bounds::node(program::NodeId id) const { return state_->intervals.value(id); }

Verdict Bounds::verdict(const Box& box) {
  const Interval& root = at(box);
  if (root.lo != root.hi) return Verdict::mixed;
  return root.lo != 0 ? Verdict::all : Verdict::none;
}

Axes Bounds::open_axes() { return state_->intervals.open_axes(state_->root); }
Axes Bounds::narrow_axes() { return state_->intervals.narrow_axes(state_->root); }

}  // namespace fovea::analysis
