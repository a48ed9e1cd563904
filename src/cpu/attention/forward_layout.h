// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "attention/problem.h"
#include "cpu/attention/forward_programs.h"
#include "cpu/attention/kernels.h"
#include "cpu/attention/sequence_order.h"

/// How a forward call is cut into tasks, and the map of its workspace. Everything here may depend on the
/// number of threads, because no result depends on it.
namespace fovea::cpu {

struct ForwardLayout {
  ForwardLayout(const AttentionKernels& kernels, const ForwardPrograms& programs,
                const attention::Problem& problem, int threads);

  /// Query tiles of a head: each block row of the mask (or the whole, without one) in equal parts.
  struct Tiles {
    int64_t block_rows, rows, per_block, count;
  };
  Tiles tiles(int64_t q_len) const;
  int64_t tile_rows = 0;  // of any tile at most

  /// Where the parts of a packed head lie, in bytes: keys, values, flags of non-finite values, norms of keys.
  struct Head {
    bool values_in_place;  // read where they are; else packed as the keys are
    std::size_t values_offset, flags_offset, norms_offset, bytes;
  };
  Head head(int64_t kv_len) const;

  int64_t kv_heads = 0;  // batch * kv heads
  bool pairs = false;    // keys and values are packed as pairs of bf16, else as f32

  // Either each task packs the keys of its head for itself (many heads, or so few keys that it costs less
  // than waiting for others), `splits` tasks a head; or all pack a wave of heads, then share it.
  bool private_heads = false;
  int64_t splits = 1;
  int64_t wave_heads = 1;
  std::optional<SequenceOrder> sequences;  // of a batch that has them; they are of both kinds

  // Bytes.
  std::size_t head_bytes = 0;     // from head to head of those that are packed at the same time
  std::size_t private_bytes = 0;  // the same for heads that belong to one worker
  std::size_t heads_bytes = 0;    // of all
  std::size_t order_bytes = 0;    // int64_t order[]: tasks by cost, of a wave or of one head
  bool order_by_head =
      false;  // tasks of different heads cost differently: the order covers heads too
  std::size_t sequences_bytes = 0;
  std::size_t scratch_bytes = 0;  // of one worker
  std::size_t total_bytes = 0;

 private:
  void choose_tiles(int threads);
  void choose_waves(int threads);
  void choose_sequences(int threads);

  const AttentionKernels& kernels_;
  const attention::Problem& problem_;
  int64_t largest_tile_ = 0;
};

/// A query head's sink as kernels see it: in base 2, or -inf.
float sink_of(const attention::Problem& problem, int64_t h);

/// The call as kernels see it.
ForwardCall forward_call(const AttentionKernels& kernels, const ForwardPrograms& programs,
                         const ForwardBindings* bindings, const attention::Problem& problem,
                         int64_t tile_rows);

}  // namespace fovea::cpu
