// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/problem.h"
#include "cpu/attention/kernels.h"
#include "cpu/attention/tile_program.h"

/// How a forward call is cut into tasks, and the map of its workspace. Everything here may depend on the
/// number of threads, because no result depends on it.
namespace fovea::cpu {

struct ForwardLayout {
  ForwardLayout(const AttentionKernels& kernels, const TileProgram& program,
                const attention::Problem& problem, int threads);

  // Query tiles of a head: each block row of the mask (or the whole, without one) in equal parts.
  int64_t block_rows = 0;  // rows of a block of the mask
  int64_t tile_rows = 0, tiles_per_block = 0, tiles = 0;

  int64_t kv_heads = 0;          // batch * kv heads
  bool pairs = false;            // keys and values are packed as pairs of bf16, else as f32
  bool values_in_place = false;  // read where they are; else packed as the keys are

  // Either each task packs the keys of its head for itself (many heads, or so few keys that it costs less
  // than waiting for others), `splits` tasks a head; or all pack a wave of heads, then share it.
  bool private_heads = false;
  int64_t splits = 1;
  int64_t wave_heads = 1;

  // Bytes. A head: keys, then values, then the flags of non-finite values.
  std::size_t values_offset = 0, flags_offset = 0, head_bytes = 0;
  std::size_t heads_bytes = 0;    // of all heads that are packed at the same time
  std::size_t order_bytes = 0;    // int64_t order[]: tasks by cost, of a wave or of one head
  bool order_by_head = false;     // the mask differs between heads: the order covers heads too
  std::size_t scratch_bytes = 0;  // of one worker
  std::size_t total_bytes = 0;
};

/// The call as kernels see it.
ForwardCall forward_call(const AttentionKernels& kernels, const TileProgram& program,
                         const TileBinding* binding, const attention::Problem& problem,
                         int64_t tile_rows);

}  // namespace fovea::cpu
