// SPDX-License-Identifier: Apache-2.0
#include "attention/check_elements.h"

#include "attention/mask_row.h"
#include "program/interpret.h"

namespace fovea::attention {

void check_elements(const Problem& problem, Executor& executor) {
  if (problem.score_mod.captures().empty() && problem.mask_mod.captures().empty() &&
      problem.weight_mod.captures().empty()) {
    return;
  }
  executor.parallel(problem.batch * problem.q_heads * problem.q_len, [&](int64_t row, int) {
    program::Inputs at;
    at.q = row % problem.q_len;
    at.h = row / problem.q_len % problem.q_heads;
    at.b = row / problem.q_len / problem.q_heads;
    const Sequence sequence = problem.sequence(at.b);
    if (at.q >= sequence.q_len) return;
    const MaskRow mask(problem.block_mask, problem.mask_mod, at.b, at.h, at.q);
    for (at.kv = 0; at.kv < sequence.kv_len; ++at.kv) {
      if (!mask.allows(at)) continue;
      if (problem.score_mod) program::interpret(problem.score_mod, at);
      if (problem.weight_mod) program::interpret(problem.weight_mod, at);
    }
  });
}

}  // namespace fovea::attention
