// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/backward_problem.h"
#include "cpu/attention/backward_captures.h"
#include "cpu/attention/backward_kernels.h"
#include "cpu/attention/backward_programs.h"

/// How a backward call is cut into tasks, and the map of its workspace. What results depend on (tiles, chunks
/// and their order) comes from shapes and the mask alone, never from the number of threads.
namespace fovea::cpu {

struct BackwardLayout {
  BackwardLayout(const BackwardKernels& kernels, const BackwardPrograms& programs,
                 const attention::BackwardProblem& problem);
  CaptureTasks capture_tasks(const attention::BackwardProblem& problem) const;
  std::size_t total_bytes(const CapturedGradients& captures, int threads) const {
    return shared_bytes + captures.shared_bytes() +
           static_cast<std::size_t>(threads) * (worker_bytes + captures.worker_bytes());
  }

  // Keys are walked in tiles. Tiles of a mask are parts of a block column, or several whole columns.
  int64_t key_tile = 0, row_tile = 0;  // at most
  int64_t span = 0;                    // keys that a tile, or equal tiles, divide
  int64_t tiles_per_span = 0;
  int64_t columns = 0;  // block columns of a span; 0 without a mask
  static constexpr int64_t kMaxColumns = 16;

  // A task is a chunk of the keys of one kv head. Where keys of batch 1 get a gradient, all batches are one
  // task, in which they add up.
  int64_t chunk_keys = 0, chunks = 0;
  bool batches_together = false;
  int64_t heads = 0;       // kv heads over all batches that are tasks of their own
  int64_t task_heads = 0;  // query heads of a task, over its batches

  // Rows of the gradient of queries that are cleared and added together: see QuerySums.
  int64_t unit = 0, units = 0;
  // The first chunk sums right into the gradient, or into the call's query_sums.
  bool in_place = false;
  int64_t query_row = 0;  // floats from row to row of sums

  int64_t rows = 0;         // of all query heads
  bool delta_pass = false;  // two passes

  // Bytes.
  std::size_t lse_offset = 0, delta_offset = 0, query_flags_offset = 0, dout_flags_offset = 0;
  std::size_t query_sums_offset = 0, query_sums_bytes = 0;
  std::size_t shared_bytes = 0;
  // Of a worker: scratch of the kernels, then private sums, then what is touched, then deltas.
  std::size_t sums_offset = 0, touched_offset = 0, deltas_offset = 0, worker_bytes = 0;
};

/// The call as the kernels see it, but for the workspace; and that of the first of two passes.
BackwardCall backward_call(const BackwardKernels& kernels, const BackwardLayout& layout,
                           const BackwardPrograms& programs, const BackwardBindings* bindings,
                           const attention::BackwardProblem& problem);
BackwardCall delta_call(const BackwardCall& call);

}  // namespace fovea::cpu
