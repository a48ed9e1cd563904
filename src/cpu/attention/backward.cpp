// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "attention/element_access.h"
#include "cpu/attention/backward_layout.h"
#include "cpu/attention/backward_padding.h"
#include "cpu/attention/backward_strips.h"
#include "cpu/attention/turns.h"

namespace fovea::cpu {
namespace {

using attention::BackwardProblem;
using attention::Problem;
using attention::Sequence;

// Rows of a task of prepare_rows.
constexpr int64_t kRowStep = 16 * kFiniteChunk;

constexpr double kMasked = -std::numeric_limits<double>::infinity();

class Backward {
 public:
  Backward(const BackwardKernels& kernels, const BackwardPrograms& programs,
           const BackwardBindings& bindings, const BackwardProblem& problem)
      : kernels_(kernels),
        backward_(problem),
        problem_(problem.forward),
        layout_(kernels, programs, problem),
        captures_(programs, problem, layout_.capture_tasks(problem)),
        call_(backward_call(kernels, layout_, programs, &bindings, problem)),
        turns_(layout_.heads),
        delta_turns_(layout_.heads),
        no_gradients_(std::max(programs.scores.contributions().size(),
                               programs.weights.contributions().size())) {}

  void run(char* workspace, Executor& executor) {
    place(workspace);
    captures_.begin(captures_memory_, executor);
    clear_padding(backward_, executor);
    if (layout_.heads == 0 || layout_.task_heads == 0) return;
    executor.parallel((layout_.rows + kRowStep - 1) / kRowStep, [&](int64_t task, int) {
      const int64_t first = task * kRowStep;
      kernels_.prepare_rows(call_, {first, std::min(first + kRowStep, layout_.rows)});
    });
    // All heads' first chunks, then their second ones: with a causal mask the longest come first, and
    // those that wait for each other are far apart.
    const int64_t tasks = layout_.chunks * layout_.heads;
    const auto task_at = [this](int64_t task, int worker) {
      return Task{task % layout_.heads, task / layout_.heads,
                  workers_ + static_cast<std::size_t>(worker) * worker_bytes()};
    };
    if (layout_.delta_pass) {
      delta_call_ = delta_call(call_);
      executor.parallel(tasks, [&](int64_t i, int worker) { find_deltas(task_at(i, worker)); });
    }
    executor.parallel(tasks, [&](int64_t i, int worker) { run_chunk(task_at(i, worker)); });
    captures_.finish(executor);
    if (backward_.dsinks) find_sinks(executor);
  }

 private:
  // A chunk of keys of one kv head, or of that head in all batches.
  struct Task {
    int64_t head, chunk;
    char* memory;  // the worker's: scratch of the kernels first

    float* floats(std::size_t offset) const { return reinterpret_cast<float*>(memory + offset); }
  };
  // A query head of a task.
  struct Head {
    int64_t index, b, h;
    Sequence sequence;
  };

  std::size_t worker_bytes() const { return layout_.worker_bytes + captures_.worker_bytes(); }

  void place(char* workspace) {
    call_.row_lse = reinterpret_cast<LseRow*>(workspace + layout_.lse_offset);
    call_.row_delta = reinterpret_cast<float*>(workspace + layout_.delta_offset);
    call_.query_not_finite = reinterpret_cast<uint8_t*>(workspace + layout_.query_flags_offset);
    call_.dout_not_finite = reinterpret_cast<uint8_t*>(workspace + layout_.dout_flags_offset);
    if (layout_.query_sums_bytes != 0) {
      call_.query_sums = reinterpret_cast<float*>(workspace + layout_.query_sums_offset);
    }
    captures_memory_ = workspace + layout_.shared_bytes;
    workers_ = captures_memory_ + captures_.shared_bytes();
  }

  // ---- heads of a task ----

  int64_t first_batch(const Task& task) const {
    return layout_.batches_together ? 0 : task.head / problem_.kv_heads;
  }
  int64_t end_batch(const Task& task) const {
    return layout_.batches_together ? problem_.batch : first_batch(task) + 1;
  }
  int64_t kv_head(const Task& task) const { return task.head % problem_.kv_heads; }

  // The heads of the group in one batch; f(Head).
  template <class F>
  void for_each_head(const Task& task, int64_t b, F&& f) const {
    const int64_t group = problem_.group();
    const Sequence sequence = problem_.sequence(b);
    for (int64_t g = 0; g < group; ++g) {
      f(Head{(b - first_batch(task)) * group + g, b, kv_head(task) * group + g, sequence});
    }
  }

  // ---- tiles ----

  // Keys of the task's longest sequence, in all its chunks.
  int64_t keys_of_task(const Task& task) const {
    int64_t keys = 0;
    for (int64_t b = first_batch(task); b < end_batch(task); ++b) {
      keys = std::max(keys, problem_.sequence(b).kv_len);
    }
    return keys;
  }

  // f(first key, keys, number) for each tile of the chunk.
  template <class F>
  void for_each_tile(const Task& task, F&& f) const {
    const int64_t first = task.chunk * layout_.chunk_keys;
    const int64_t last = std::min(first + layout_.chunk_keys, problem_.kv_len);
    for (int64_t span = first; span < last; span += layout_.span) {
      const int64_t end = std::min(span + layout_.span, last);
      int64_t number = span / layout_.span * layout_.tiles_per_span;
      for (int64_t kv = span; kv < end; kv += layout_.key_tile) {
        f(kv, std::min(layout_.key_tile, end - kv), number++);
      }
    }
  }

  BackwardKeys keys_of(const Task& task, int64_t b, int64_t kv0, int64_t tile_keys) const {
    const Sequence sequence = problem_.sequence(b);
    return {b, kv_head(task), sequence.kv_first, kv0, std::min(tile_keys, sequence.kv_len - kv0)};
  }

  // Calls the kernels for what meets between a head and a tile of keys. They are packed before the first.
  void walk(const BackwardCall& call, const Task& task, const BackwardKeys& keys,
            BackwardWalk& walk, bool& packed) const {
    const auto walk_strips = [&](std::span<const BackwardStrip> strips) {
      walk.strips = strips.data();
      walk.count = static_cast<int64_t>(strips.size());
      if (!packed) kernels_.begin_keys(call, keys, task.memory);
      packed = true;
      kernels_.walk(call, keys, walk, task.memory);
    };
    if (!problem_.block_mask) {
      const BackwardStrip all{0, walk.q_len, 0, keys.keys, false};
      if (walk.q_len > 0) walk_strips({&all, 1});
      return;
    }
    const BlockMask& mask = problem_.block_mask;
    const int64_t first = keys.kv0 / mask.block_size().kv;
    const int64_t end = std::min(first + layout_.columns, mask.columns());
    std::array<ColumnRuns, BackwardLayout::kMaxColumns> columns;
    std::size_t count = 0;
    for (int64_t column = first; column < end; ++column) {
      columns[count++] = {mask.full_in_column(walk.b, walk.h, column),
                          mask.partial_in_column(walk.b, walk.h, column)};
    }
    StripWalker strips({columns.data(), count}, mask.block_size(), walk.q_len, keys.keys);
    for (auto some = strips.next(); !some.empty(); some = strips.next()) walk_strips(some);
  }

  BackwardWalk walk_of(const Head& head) const {
    BackwardWalk walk;
    walk.b = head.b;
    walk.h = head.h;
    walk.q_first = head.sequence.q_first;
    walk.q_len = head.sequence.q_len;
    return walk;
  }

  // ---- the gradients ----

  void run_chunk(const Task& task) {
    Turns::Turn turn(turns_, {task.head, task.chunk});
    CapturedGradients::Task captured(captures_, task.head, task.chunk,
                                     task.memory + layout_.worker_bytes);
    const int64_t keys = keys_of_task(task);
    // The first chunk writes the gradient of queries even if there are no keys.
    const bool empty = task.chunk > 0 && task.chunk * layout_.chunk_keys >= keys;
    if (!empty) begin(task, keys);
    for_each_tile(task, [&](int64_t kv0, int64_t tile_keys, int64_t number) {
      captured.begin_tile(number);
      run_tile(task, captured, kv0, tile_keys);
      captured.end_tile();
    });
    turn.wait();
    if (call_.dquery.data != nullptr && !empty) {
      add_queries(task, (task.chunk + 1) * layout_.chunk_keys >= keys);
    }
    captured.add_sums();
    turn.end();
    captured.finish();
  }

  void begin(const Task& task, int64_t keys) const {
    if (call_.dquery.data != nullptr) {
      std::memset(touched(task), 0, static_cast<std::size_t>(layout_.task_heads * layout_.units));
    }
    kernels_.begin(call_, std::min(keys, layout_.key_tile), task.memory);
  }

  void run_tile(const Task& task, const CapturedGradients::Task& captured, int64_t kv0,
                int64_t tile_keys) const {
    BackwardKeys longest;
    for (int64_t b = first_batch(task); b < end_batch(task); ++b) {
      const BackwardKeys keys = keys_of(task, b, kv0, tile_keys);
      if (keys.keys <= 0) continue;
      bool packed = false;
      for_each_head(task, b, [&](const Head& head) {
        BackwardWalk rows = walk_of(head);
        rows.queries = sums_of(task, head);
        rows.score_gradients = captured.scores(head.index);
        rows.weight_gradients = captured.weights(head.index);
        walk(call_, task, keys, rows, packed);
      });
      if (keys.keys > longest.keys) longest = keys;
    }
    if (longest.keys > 0) kernels_.store_keys(call_, longest, task.memory);
  }

  uint8_t* touched(const Task& task) const {
    return reinterpret_cast<uint8_t*>(task.memory + layout_.touched_offset);
  }
  bool sums_in_place(const Task& task) const { return layout_.in_place && task.chunk == 0; }

  QuerySums sums_of(const Task& task, const Head& head) const {
    QuerySums sums;
    if (call_.dquery.data == nullptr) return sums;
    sums.touched = touched(task) + head.index * layout_.units;
    sums.unit = layout_.unit;
    sums.row = layout_.query_row;
    if (!sums_in_place(task)) {
      sums.data = task.floats(layout_.sums_offset) + head.index * problem_.q_len * sums.row;
    } else if (call_.query_sums != nullptr) {
      sums.data = call_.query_sums + first_row(head) * sums.row;
    } else {
      const Gradient4& to = call_.dquery;
      sums.row = to.row;
      sums.data = static_cast<float*>(to.data) + head.b * to.batch + head.h * to.head +
                  head.sequence.q_first * to.row;
    }
    return sums;
  }

  // The number of a head's first row.
  int64_t first_row(const Head& head) const {
    return head.b * call_.batch_rows + head.h * call_.head_rows + head.sequence.q_first;
  }

  void add_queries(const Task& task, bool last) const {
    for (int64_t b = first_batch(task); b < end_batch(task); ++b) {
      for_each_head(task, b, [&](const Head& head) {
        kernels_.add_queries(call_, {.b = head.b,
                                     .h = head.h,
                                     .q_first = head.sequence.q_first,
                                     .q_len = head.sequence.q_len,
                                     .from = sums_of(task, head),
                                     .first = task.chunk == 0,
                                     .in_place = sums_in_place(task),
                                     .last = last});
      });
    }
  }

  // ---- what the softmax hands back, where dout * out does not say it ----

  void find_deltas(const Task& task) {
    Turns::Turn turn(delta_turns_, {task.head, task.chunk});
    float* const deltas = task.floats(layout_.deltas_offset);
    const int64_t q_len = problem_.q_len;
    std::fill_n(deltas, layout_.task_heads * q_len, 0.0f);
    for_each_tile(task, [&](int64_t kv0, int64_t tile_keys, int64_t) {
      for (int64_t b = first_batch(task); b < end_batch(task); ++b) {
        const BackwardKeys keys = keys_of(task, b, kv0, tile_keys);
        if (keys.keys <= 0) continue;
        bool packed = false;
        for_each_head(task, b, [&](const Head& head) {
          BackwardWalk rows = walk_of(head);
          rows.score_gradients = rows.weight_gradients = no_gradients_.data();
          rows.deltas = deltas + head.index * q_len;
          walk(delta_call_, task, keys, rows, packed);
        });
      }
    });
    turn.wait();
    for (int64_t b = first_batch(task); b < end_batch(task); ++b) {
      for_each_head(task, b, [&](const Head& head) {
        float* to = call_.row_delta + first_row(head);
        for (int64_t q = 0; q < head.sequence.q_len; ++q) to[q] += deltas[head.index * q_len + q];
      });
    }
  }

  // A sink is a score with a value of 0.
  void find_sinks(Executor& executor) const {
    const TensorView &sinks = *problem_.sinks, &gradient = *backward_.dsinks;
    executor.parallel(problem_.q_heads, [&](int64_t h, int) {
      const double sink = attention::load_element(sinks, h * sinks.stride(0)) / std::log(2.0);
      double sum = 0;
      for (int64_t b = 0; b < problem_.batch && sink > kMasked; ++b) {
        const Sequence sequence = problem_.sequence(b);
        const int64_t first = first_row({0, b, h, sequence});
        for (int64_t row = first; row < first + sequence.q_len; ++row) {
          const LseRow& lse = call_.row_lse[row];
          const double weight =
              std::exp2(sink - static_cast<double>(lse.whole)) * static_cast<double>(lse.factor);
          sum -= weight * static_cast<double>(call_.row_delta[row]);
        }
      }
      attention::store_element(gradient, h * gradient.stride(0), sum);
    });
  }

  const BackwardKernels& kernels_;
  const BackwardProblem& backward_;
  const Problem& problem_;
  const BackwardLayout layout_;
  CapturedGradients captures_;
  BackwardCall call_, delta_call_;
  Turns turns_, delta_turns_;  // a line a head, a turn a chunk
  const std::vector<TileGradient> no_gradients_;
  char *captures_memory_ = nullptr, *workers_ = nullptr;
};

}  // namespace

std::size_t backward_workspace_bytes(const BackwardKernels& kernels,
                                     const BackwardPrograms& programs,
                                     const BackwardProblem& problem, int threads) {
  const BackwardLayout layout(kernels, programs, problem);
  const CapturedGradients captures(programs, problem, layout.capture_tasks(problem));
  return layout.total_bytes(captures, threads);
}

void run_backward(const BackwardKernels& kernels, const BackwardPrograms& programs,
                  const BackwardBindings& bindings, const BackwardProblem& problem,
                  const Workspace& workspace, Executor& executor) {
  Backward(kernels, programs, bindings, problem).run(static_cast<char*>(workspace.data), executor);
}

}  // namespace fovea::cpu
