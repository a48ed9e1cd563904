// SPDX-License-Identifier: Apache-2.0
#include "program/joint_rows.h"

#include <algorithm>
#include <string>

#include <fovea/error.h>

namespace fovea::program {

std::vector<NodeId> JointRows::outputs_of(const JointProgram& joint) {
  std::vector<NodeId> outputs{joint.graph->root, joint.dscore};
  for (const Contribution& c : joint.captures) {
    outputs.insert(outputs.end(), c.index.begin(), c.index.end());
    outputs.push_back(c.value);
    if (c.guard >= 0) outputs.push_back(c.guard);
  }
  return outputs;
}

Program JointRows::bound(const JointProgram& joint, const Program& original) {
  return Program(joint.graph, {original.params().begin(), original.params().end()},
                 {original.captures().begin(), original.captures().end()});
}

JointRows::JointRows(const JointProgram& joint, const Program& original)
    : joint_(&joint), rows_(bound(joint, original), outputs_of(joint)) {}

void JointRows::run(int64_t b, int64_t h, int64_t q, int64_t kv0, std::span<const double> score,
                    std::span<const double> dout, const uint8_t* active) {
  count_ = static_cast<int64_t>(score.size());
  if (count_ > kMost || dout.size() != score.size()) {
    throw InternalError("[interpret] joint rows: expected as many of both, " +
                        std::to_string(kMost) + " at most, got " + std::to_string(count_) +
                        " and " + std::to_string(dout.size()));
  }
  const RowState::Chunk chunk{.first = {.b = b, .h = h, .q = q, .kv = kv0},
                              .count = count_,
                              .score = score.data(),
                              .dout = dout.data(),
                              .active = active};
  rows_.run(chunk, [this](int64_t i, const Inputs& inputs) { write(i, inputs); });
}

void JointRows::write(int64_t i, const Inputs& inputs) {
  const auto put = [&](NodeId id) { rows_.put(id, i, rows_.element().result(id, inputs)); };
  put(joint_->graph->root);
  put(joint_->dscore);
  for (const Contribution& c : joint_->captures) {
    put(c.value);
    if (c.guard >= 0) {
      put(c.guard);
      if (!holds(c, i)) continue;
    }
    for (const NodeId index : c.index) put(index);
  }
}

bool JointRows::has_one_index(const Contribution& c) const {
  return std::none_of(c.index.begin(), c.index.end(),
                      [this](NodeId id) { return rows_.differs(id); });
}

}  // namespace fovea::program
