// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/derive.h"
#include "program/row_state.h"

/// A joint program over many elements at once, in float64: what JointState does, a row at a time. Reuses
/// its buffers between calls, and allocates nothing in them; one per thread.
namespace fovea::program {

class JointRows {
 public:
  static constexpr int64_t kMost = RowState::kChunk;

  /// `original`: the program that `joint`, which must stay, was derived from, with its values.
  JointRows(const JointProgram& joint, const Program& original);

  /// kv = kv0, kv0 + 1, ..., for fixed b, h, q; kMost elements at most. InvalidArgument as interpret(). Where
  /// `active` is given and 0 the element is not wanted: it raises no error, and its results are
  /// undefined. Results are valid until the next call.
  void run(int64_t b, int64_t h, int64_t q, int64_t kv0, std::span<const double> score,
           std::span<const double> dout, const uint8_t* active = nullptr);

  std::span<const double> result() const { return floats(joint_->graph->root); }
  std::span<const double> dscore() const { return floats(joint_->dscore); }

  using Contribution = JointProgram::Contribution;
  std::span<const double> value(const Contribution& c) const { return floats(c.value); }
  /// Where it is 0, there is no contribution, and the indices are undefined.
  bool holds(const Contribution& c, int64_t i) const {
    return c.guard < 0 || rows_.output<uint8_t>(c.guard)[i] != 0;
  }
  int64_t index(const Contribution& c, std::size_t dimension, int64_t i) const {
    return rows_.output<int64_t>(c.index[dimension])[i];
  }
  /// Whether all elements of a row contribute at one index.
  bool has_one_index(const Contribution& c) const;

 private:
  static std::vector<NodeId> outputs_of(const JointProgram& joint);
  static Program bound(const JointProgram& joint, const Program& original);
  std::span<const double> floats(NodeId id) const {
    return {rows_.output<double>(id), static_cast<std::size_t>(count_)};
  }
  void write(int64_t i, const Inputs& inputs);

  const JointProgram* joint_;
  RowState rows_;
  int64_t count_ = 0;
};

}  // namespace fovea::program
