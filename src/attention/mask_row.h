// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include <fovea/block_mask.h>
#include "program/interpret.h"

/// Which keys one query may attend to, element by element: for whoever computes densely.
namespace fovea::attention {

class MaskRow {
 public:
  /// `mod` is the mask's program, simplified or not. An empty mask allows all.
  MaskRow(const BlockMask& mask, const Program& mod, int64_t b, int64_t h, int64_t q);

  /// `at` is an element of this row.
  bool allows(const program::Inputs& at) const {
    if (!mask_) return true;
    // The lists are looked at only where they say more than the mod: what trusts nobody must not
    // depend on them.
    if (!kinds_.empty()) {
      const Kind kind = kinds_[static_cast<std::size_t>(at.kv / block_)];
      if (kind != Kind::partial) return kind == Kind::full;
    }
    return program::interpret(mod_, at).i != 0;
  }

 private:
  enum class Kind : uint8_t { skipped, partial, full };
  const BlockMask& mask_;
  const Program& mod_;
  int64_t block_ = 1;
  std::vector<Kind> kinds_;  // by block column
};

}  // namespace fovea::attention
