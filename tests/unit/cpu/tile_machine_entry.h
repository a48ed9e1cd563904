// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

/// The tile machine of each instruction set, as functions that tests can call.
namespace fovea::cpu {

class TileProgram;
class TileBinding;
struct TileGradient;

/// One tile: rows q0 ..., columns kv0 ..., of a machine that is made for max_rows x max_cols.
struct TileRequest {
  const TileProgram* program = nullptr;
  const TileBinding* binding = nullptr;
  void* scratch = nullptr;
  int64_t max_rows = 0, max_cols = 0;
  int64_t b = 0, h = 0, q0 = 0, rows = 0, kv0 = 0, cols = 0;
  float* scores = nullptr;
  int64_t ld = 0;
  bool apply_mask = true;
  // With the backward part: the scores are copied to `after` and destroyed between the parts.
  float* dout = nullptr;
  int64_t dout_ld = 0;
  float* after = nullptr;
  const TileGradient* gradients = nullptr;
};

struct TileMachineEntry {
  int lanes = 0;
  std::size_t (*scratch_bytes)(const TileProgram& program, int64_t max_rows,
                               int64_t max_cols) = nullptr;
  void (*run)(const TileRequest& request) = nullptr;
};

namespace baseline {
extern const TileMachineEntry kTileMachine;
}
namespace avx2 {
extern const TileMachineEntry kTileMachine;
}
namespace avx512 {
extern const TileMachineEntry kTileMachine;
}
namespace avx512_bf16 {
extern const TileMachineEntry kTileMachine;
}
namespace neon {
extern const TileMachineEntry kTileMachine;
}
namespace wide {
extern const TileMachineEntry kTileMachine;  // 16 lanes on any machine
}

}  // namespace fovea::cpu
