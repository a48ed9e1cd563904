// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/forward.h"

#include <algorithm>
#include <span>

#include "cpu/attention/forward_layout.h"
#include "cpu/attention/key_rows.h"

namespace fovea::cpu {
namespace {

using attention::Problem;
using attention::Sequence;

class Forward {
 public:
  Forward(const AttentionKernels& kernels, const ForwardPrograms& programs,
          const ForwardBindings& bindings, const Problem& problem, const Workspace& workspace,
          Executor& executor)
      : kernels_(kernels),
        problem_(problem),
        executor_(executor),
        layout_(kernels, programs, problem, executor.num_threads()),
        call_(forward_call(kernels, programs, &bindings, problem, layout_.tile_rows)),
        heads_(static_cast<char*>(workspace.data)),
        order_(reinterpret_cast<int64_t*>(heads_ + layout_.heads_bytes)),
        scratch_(heads_ + layout_.heads_bytes + layout_.order_bytes + layout_.sequences_bytes) {}

  void run() {
    if (layout_.kv_heads == 0 || problem_.q_len == 0) return;
    if (layout_.sequences) return run_sequences();
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
  char* private_memory(int worker) const {
    return heads_ + static_cast<std::size_t>(worker) * layout_.private_bytes;
  }

  Sequence sequence_of(int64_t head) const { return problem_.sequence(head / problem_.kv_heads); }

  // Keys [first, first + kPackStep) as far as there are so many.
  void pack(int64_t head, char* memory, int64_t first) const {
    const Sequence s = sequence_of(head);
    if (first >= s.kv_len) return;
    const ForwardLayout::Head layout = layout_.head(s.kv_len);
    PackJob job{.rows = rows_of_head(problem_, problem_.key, head),
                .column = problem_.key.stride(3),
                .first = first,
                .last = std::min(first + kPackStep, s.kv_len),
                .length = s.kv_len,
                .width = problem_.head_dim,
                .pairs = layout_.pairs,
                .to = memory,
                .norms = reinterpret_cast<float*>(memory + layout.norms_offset)};
    kernels_.pack_keys(job);
    job.rows = rows_of_head(problem_, problem_.value, head);
    job.column = problem_.value.stride(3);
    job.width = problem_.value_dim;
    job.to = layout.values_in_place ? nullptr : memory + layout.values_offset;
    job.not_finite = reinterpret_cast<uint8_t*>(memory + layout.flags_offset);
    kernels_.pack_values(job);
  }

  PackedHead packed(int64_t head, const Sequence& s, const char* memory) const {
    const ForwardLayout::Head layout = layout_.head(s.kv_len);
    PackedHead packed;
    packed.keys = memory;
    packed.not_finite = reinterpret_cast<const uint8_t*>(memory + layout.flags_offset);
    packed.key_norms = reinterpret_cast<const float*>(memory + layout.norms_offset);
    if (layout.values_in_place) {
      packed.values = rows_of_head(problem_, problem_.value, head).from;
      packed.value_row = problem_.value.stride(2);
      packed.value_panel = kernels_.block_columns;
    } else {
      const int64_t per_word = layout_.pairs ? 2 : 1;
      packed.values = memory + layout.values_offset;
      packed.value_row = kernels_.block_columns;
      packed.value_panel = (s.kv_len + per_word - 1) / per_word * kernels_.block_columns;
    }
    return packed;
  }

  void run_tile(const Position& at, const char* memory, int worker) const {
    const Sequence s = sequence_of(at.head);
    const ForwardLayout::Tiles tiles = layout_.tiles(s.q_len);
    ForwardTile tile;
    tile.b = at.head / problem_.kv_heads;
    tile.h = at.head % problem_.kv_heads * group() + at.group;
    const int64_t block = at.tile / tiles.per_block;
    tile.q0 = block * tiles.block_rows + at.tile % tiles.per_block * tiles.rows;
    const int64_t end = std::min((block + 1) * tiles.block_rows, s.q_len);
    tile.rows = std::min(tiles.rows, end - tile.q0);
    if (tile.rows <= 0) return;
    tile.q_first = s.q_first;
    tile.kv_len = s.kv_len;
    tile.head = packed(at.head, s, memory);
    tile.sink = sink_of(problem_, tile.h);
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
    const Sequence s = sequence_of(head);
    if (s.q_len == 0) return;
    char* memory = private_memory(worker);
    for (int64_t first = 0; first < s.kv_len; first += kPackStep) pack(head, memory, first);
    const int64_t tasks = layout_.tiles(s.q_len).count * group();
    for (int64_t i = split; i < tasks; i += layout_.splits) {
      const int64_t task = tasks - 1 - i;
      run_tile({head, task % group(), task / group()}, memory, worker);
    }
  }

  void run_sequences() {
    SequenceOrder& order = *layout_.sequences;
    order.sort(reinterpret_cast<char*>(order_) + layout_.order_bytes);
    for (int64_t rank = 0; rank < order.shared_heads(); rank += layout_.wave_heads) {
      run_wave(rank, std::min(layout_.wave_heads, order.shared_heads() - rank));
    }
    executor_.parallel(order.portions(), [&](int64_t portion, int worker) {
      const int64_t end = order.begin(portion + 1);
      for (int64_t rank = order.begin(portion); rank < end; ++rank) {
        run_private_head(order.head(rank), 0, worker);
      }
    });
  }

  // What a tile costs, in blocks of the mask or in keys.
  int64_t cost(const Position& at) const {
    const Sequence s = sequence_of(at.head);
    const ForwardLayout::Tiles tiles = layout_.tiles(s.q_len);
    const int64_t row = at.tile / tiles.per_block;
    if (at.tile >= tiles.count) return 0;
    if (!problem_.block_mask) return s.kv_len;
    const int64_t h = at.head % problem_.kv_heads * group() + at.group;
    const int64_t b = at.head / problem_.kv_heads;
    const int64_t ends = (s.kv_len - 1) / problem_.block_mask.block_size().kv + 1;
    int64_t blocks = 0;
    const auto add = [&](std::span<const BlockRun> runs) {
      for (const BlockRun& run : runs) {
        blocks += std::max<int64_t>(0, std::min<int64_t>(run.end, ends) - run.begin);
      }
    };
    add(problem_.block_mask.full(b, h, row));
    add(problem_.block_mask.partial(b, h, row));
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
    sort(layout_.tiles(problem_.q_len).count, [this](int64_t tile) { return cost({0, 0, tile}); });
  }

  // Heads by rank: the order of the sequences, or as they lie.
  int64_t head_at(int64_t rank) const {
    return layout_.sequences ? layout_.sequences->head(rank) : rank;
  }

  void run_wave(int64_t first_rank, int64_t heads) {
    Sequence longest;
    for (int64_t slot = 0; slot < heads; ++slot) {
      const Sequence s = sequence_of(head_at(first_rank + slot));
      longest.q_len = std::max(longest.q_len, s.q_len);
      longest.kv_len = std::max(longest.kv_len, s.kv_len);
    }
    const int64_t steps = (longest.kv_len + kPackStep - 1) / kPackStep;
    executor_.parallel(heads * steps, [&](int64_t task, int) {
      const int64_t slot = task / steps;
      pack(head_at(first_rank + slot), head_memory(slot), task % steps * kPackStep);
    });
    const int64_t tiles = layout_.tiles(longest.q_len).count;
    const int64_t query_heads = heads * group(), count = query_heads * tiles;
    const auto head_major = [&](int64_t i) {
      const int64_t head = i / tiles;
      return Position{first_rank + head / group(), head % group(), i % tiles};
    };
    const auto at_rank = [&](const Position& at) {
      return Position{head_at(at.head), at.group, at.tile};
    };
    if (layout_.order_by_head) sort(count, [&](int64_t i) { return cost(at_rank(head_major(i))); });
    executor_.parallel(count, [&](int64_t task, int worker) {
      Position at;
      if (layout_.order_by_head) {
        at = head_major(order_[task]);
      } else if (problem_.block_mask) {
        const int64_t head = task % query_heads;
        at = {first_rank + head / group(), head % group(), order_[task / query_heads]};
      } else {
        at = head_major(task);
      }
      run_tile(at_rank(at), head_memory(at.head - first_rank), worker);
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

std::size_t forward_workspace_bytes(const AttentionKernels& kernels,
                                    const ForwardPrograms& programs, const Problem& problem,
                                    int threads) {
  return ForwardLayout(kernels, programs, problem, threads).total_bytes;
}

void run_forward(const AttentionKernels& kernels, const ForwardPrograms& programs,
                 const ForwardBindings& bindings, const Problem& problem,
                 const Workspace& workspace, Executor& executor) {
  Forward(kernels, programs, bindings, problem, workspace, executor).run();
}

}  // namespace fovea::cpu
