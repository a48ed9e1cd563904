// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/forward.h"

#include <algorithm>
#include <span>

#include "cpu/attention/forward_layout.h"

namespace fovea::cpu {
namespace {

using attention::Problem;

class Forward {
 public:
  Forward(const AttentionKernels& kernels, const TileProgram& program, const TileBinding& binding,
          const Problem& problem, const Workspace& workspace, Executor& executor)
      : kernels_(kernels),
        problem_(problem),
        executor_(executor),
        layout_(kernels, program, problem, executor.num_threads()),
        call_(forward_call(kernels, program, &binding, problem, layout_.tile_rows)),
        heads_(static_cast<char*>(workspace.data)),
        order_(reinterpret_cast<int64_t*>(heads_ + layout_.heads_bytes)),
        scratch_(heads_ + layout_.heads_bytes + layout_.order_bytes) {}

  void run() {
    if (layout_.kv_heads == 0 || layout_.tiles == 0) return;
    if (layout_.private_heads) {
      executor_.parallel(layout_.kv_heads * layout_.splits, [this](int64_t task, int worker) {
        run_private_head(task / layout_.splits, task % layout_.splits, worker);
      });
      return;
    }
    if (problem_.block_mask && !layout_.order_by_head) sort_tiles();
    for (int64_t head = 0; head < layout_.kv_heads; head += layout_.wave_heads) {
      run_wave(head, std::min(layout_.wave_heads, layout_.kv_heads - head));
    }
  }

 private:
  struct Position {
    int64_t head, group, tile;  // kv head (over all batches), query head in its group, query tile
  };

  int64_t group() const { return problem_.group(); }

  char* head_memory(int64_t slot) const {
    return heads_ + static_cast<std::size_t>(slot) * layout_.head_bytes;
  }

  static const void* at(const TensorView& tensor, int64_t b, int64_t h) {
    const int64_t elements = b * tensor.stride(0) + h * tensor.stride(1);
    return static_cast<const char*>(tensor.data) +
           elements * static_cast<int64_t>(size_of(tensor.dtype));
  }

  void pack(int64_t head, char* memory, int64_t first, int64_t last) const {
    const int64_t b = head / problem_.kv_heads, h = head % problem_.kv_heads;
    const TensorView &key = problem_.key, &value = problem_.value;
    PackJob job{.from = at(key, b, h),
                .dtype = key.dtype,
                .row = key.stride(2),
                .column = key.stride(3),
                .first = first,
                .last = last,
                .length = problem_.kv_len,
                .width = problem_.head_dim,
                .pairs = layout_.pairs,
                .to = memory};
    kernels_.pack_keys(job);
    job.from = at(value, b, h);
    job.dtype = value.dtype;
    job.row = value.stride(2);
    job.column = value.stride(3);
    job.width = problem_.value_dim;
    job.to = layout_.values_in_place ? nullptr : memory + layout_.values_offset;
    job.not_finite = reinterpret_cast<uint8_t*>(memory + layout_.flags_offset);
    kernels_.pack_values(job);
  }

  PackedHead packed(int64_t head, const char* memory) const {
    PackedHead packed;
    packed.keys = memory;
    packed.not_finite = reinterpret_cast<const uint8_t*>(memory + layout_.flags_offset);
    if (layout_.values_in_place) {
      packed.values = at(problem_.value, head / problem_.kv_heads, head % problem_.kv_heads);
      packed.value_row = problem_.value.stride(2);
      packed.value_panel = kernels_.block_columns;
    } else {
      const int64_t per_word = layout_.pairs ? 2 : 1;
      packed.values = memory + layout_.values_offset;
      packed.value_row = kernels_.block_columns;
      packed.value_panel = (problem_.kv_len + per_word - 1) / per_word * kernels_.block_columns;
    }
    return packed;
  }

  void run_tile(const Position& at, const char* memory, int worker) const {
    ForwardTile tile;
    tile.b = at.head / problem_.kv_heads;
    tile.h = at.head % problem_.kv_heads * group() + at.group;
    const int64_t block = at.tile / layout_.tiles_per_block;
    tile.q0 = block * layout_.block_rows + at.tile % layout_.tiles_per_block * layout_.tile_rows;
    const int64_t end = std::min((block + 1) * layout_.block_rows, problem_.q_len);
    tile.rows = std::min(layout_.tile_rows, end - tile.q0);
    if (tile.rows <= 0) return;
    tile.head = packed(at.head, memory);
    if (problem_.block_mask) {
      const auto full = problem_.block_mask.full(tile.b, tile.h, block);
      const auto partial = problem_.block_mask.partial(tile.b, tile.h, block);
      tile.full = full.data();
      tile.full_runs = static_cast<int64_t>(full.size());
      tile.partial = partial.data();
      tile.partial_runs = static_cast<int64_t>(partial.size());
    }
    kernels_.forward(call_, tile,
                     scratch_ + static_cast<std::size_t>(worker) * layout_.scratch_bytes);
  }

  // The last tiles first: with a causal mask they are the longest.
  void run_private_head(int64_t head, int64_t split, int worker) const {
    char* memory = head_memory(worker);
    for (int64_t first = 0; first < problem_.kv_len; first += kPackStep) {
      pack(head, memory, first, std::min(first + kPackStep, problem_.kv_len));
    }
    const int64_t tasks = layout_.tiles * group();
    for (int64_t i = split; i < tasks; i += layout_.splits) {
      const int64_t task = tasks - 1 - i;
      run_tile({head, task % group(), task / group()}, memory, worker);
    }
  }

  // Blocks that a tile walks.
  int64_t cost(const Position& at) const {
    const int64_t h = at.head % problem_.kv_heads * group() + at.group;
    const int64_t b = at.head / problem_.kv_heads, row = at.tile / layout_.tiles_per_block;
    int64_t blocks = 0;
    for (const BlockRun& run : problem_.block_mask.full(b, h, row)) blocks += run.end - run.begin;
    for (const BlockRun& run : problem_.block_mask.partial(b, h, row))
      blocks += run.end - run.begin;
    return blocks;
  }

  // Descending costs; equal ones in their own order.
  template <class Cost>
  void sort(int64_t count, Cost&& cost_of) {
    // Cost and index in one number: 2^31 blocks, 2^32 tasks at most.
    for (int64_t i = 0; i < count; ++i) order_[i] = -(cost_of(i) << 32) + i;
    std::sort(order_, order_ + count);
    for (int64_t i = 0; i < count; ++i) order_[i] &= 0xffffffff;
  }

  void sort_tiles() {
    sort(layout_.tiles, [this](int64_t tile) { return cost({0, 0, tile}); });
  }

  void run_wave(int64_t first_head, int64_t heads) {
    const int64_t steps = (problem_.kv_len + kPackStep - 1) / kPackStep;
    executor_.parallel(heads * steps, [&](int64_t task, int) {
      const int64_t slot = task / steps, first = task % steps * kPackStep;
      pack(first_head + slot, head_memory(slot), first,
           std::min(first + kPackStep, problem_.kv_len));
    });
    const int64_t query_heads = heads * group(), count = query_heads * layout_.tiles;
    const auto head_major = [&](int64_t i) {
      const int64_t head = i / layout_.tiles;
      return Position{first_head + head / group(), head % group(), i % layout_.tiles};
    };
    if (layout_.order_by_head) sort(count, [&](int64_t i) { return cost(head_major(i)); });
    executor_.parallel(count, [&](int64_t task, int worker) {
      Position at;
      if (layout_.order_by_head) {
        at = head_major(order_[task]);
      } else if (problem_.block_mask) {
        const int64_t head = task % query_heads;
        at = {first_head + head / group(), head % group(), order_[task / query_heads]};
      } else {
        at = head_major(task);
      }
      run_tile(at, head_memory(at.head - first_head), worker);
    });
  }

  const AttentionKernels& kernels_;
  const Problem& problem_;
  Executor& executor_;
  ForwardLayout layout_;
  ForwardCall call_;
  char* heads_;
  int64_t* order_;
  char* scratch_;
};

}  // namespace

std::size_t forward_workspace_bytes(const AttentionKernels& kernels, const TileProgram& program,
                                    const Problem& problem, int threads) {
  return ForwardLayout(kernels, program, problem, threads).total_bytes;
}

void run_forward(const AttentionKernels& kernels, const TileProgram& program,
                 const TileBinding& binding, const Problem& problem, const Workspace& workspace,
                 Executor& executor) {
  Forward(kernels, program, binding, problem, workspace, executor).run();
}

}  // namespace fovea::cpu
