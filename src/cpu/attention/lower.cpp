// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/lower.h"

#include <memory>
#include <utility>

namespace fovea::cpu {
namespace {

TileProgram lower(const Program& score_mod, const program::JointProgram* joint,
                  const Program& mask_mod) {
  auto data = std::make_shared<TileProgram::Data>();
  const auto count = [](const Program& program, bool captures) -> int32_t {
    if (!program) return 0;
    const program::Graph& graph = program.graph();
    return static_cast<int32_t>(captures ? graph.captures.size() : graph.params.size());
  };
  data->score_params = count(score_mod, false);
  data->score_captures = count(score_mod, true);
  data->params = data->score_params + count(mask_mod, false);
  data->captures = data->score_captures + count(mask_mod, true);
  if (joint != nullptr) {
    data->joint = *joint;
    const auto classes = analysis::classify(*joint);
    for (std::size_t i = 0; i < classes.size(); ++i) {
      const bool of_param = i >= joint->captures.size();
      const int32_t slot =
          of_param ? joint->params[i - joint->captures.size()].slot : joint->captures[i].slot;
      data->contributions.push_back({of_param, slot, classes[i]});
    }
  }
  lowering::emit(lowering::join(score_mod, joint, mask_mod), *data);
  return TileProgram(std::move(data));
}

bool is_empty(const TileRange& range) { return range.begin == range.end; }

}  // namespace

TileProgram lower(const Program& score_mod, const Program& mask_mod) {
  return lower(score_mod, nullptr, mask_mod);
}

TileProgram lower_joint(const Program& mod, const program::JointProgram& joint,
                        const Program& mask_mod) {
  return lower(mod, &joint, mask_mod);
}

TileProgram::TileProgram() : data_(std::make_shared<Data>()) {}
TileProgram::TileProgram(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

const TileCode& TileProgram::code() const noexcept { return data_->code; }
const TileCode& code_of(const TileProgram& program) noexcept { return program.code(); }

int32_t TileProgram::param_count() const noexcept { return data_->params; }
int32_t TileProgram::capture_count() const noexcept { return data_->captures; }

bool TileProgram::empty() const noexcept {
  return is_empty(data_->code.phases[static_cast<int>(TilePhase::tile)]);
}

bool TileProgram::has_backward() const noexcept {
  return !is_empty(data_->code.phases[static_cast<int>(TilePhase::backward)]);
}

const program::JointProgram* TileProgram::joint() const noexcept {
  return data_->joint ? &*data_->joint : nullptr;
}

std::span<const TileContribution> TileProgram::contributions() const noexcept {
  return data_->contributions;
}

bool TileProgram::has_mask() const noexcept {
  const TileRange& tile = data_->code.phases[static_cast<int>(TilePhase::tile)];
  return tile.mask != tile.end;
}

}  // namespace fovea::cpu
