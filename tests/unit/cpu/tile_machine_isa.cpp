// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/tile_machine-inl.h"
#include "unit/cpu/tile_machine_entry.h"

namespace fovea::cpu::FOVEA_ISA_NAMESPACE {
namespace {

void run_request(const TileRequest& request) {
  TileMachine machine(*request.program, *request.binding, request.scratch, request.max_rows,
                      request.max_cols);
  machine.begin_head(request.b, request.h);
  machine.begin_rows(request.q0, request.rows);
  machine.run(request.kv0, request.cols, request.scores, request.ld, request.apply_mask);
  if (request.dout == nullptr) return;
  for (int64_t i = 0; i < request.rows; ++i) {
    for (int64_t j = 0; j < request.cols; ++j) {
      float& score = request.scores[i * request.ld + j];
      request.after[i * request.cols + j] = score;
      score = __builtin_nanf("");
    }
  }
  machine.run_backward(request.dout, request.dout_ld, request.gradients);
}

}  // namespace

const TileMachineEntry kTileMachine = {
    .lanes = kLanes, .scratch_bytes = TileMachine::scratch_bytes, .run = run_request};

}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
