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
}

}  // namespace

const TileMachineEntry kTileMachine = {
    .lanes = kLanes, .scratch_bytes = TileMachine::scratch_bytes, .run = run_request};

}  // namespace fovea::cpu::FOVEA_ISA_NAMESPACE
