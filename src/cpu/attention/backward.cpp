// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <new>
#include <span>
#include <thread>

#include "cpu/attention/backward_layout.h"
#include "cpu/attention/backward_strips.h"

namespace fovea::cpu {
namespace {

using attention::BackwardProblem;
using attention::Problem;
using attention::Sequence;

// Rows of a task of the first pass.
constexpr int64_t kRowStep = 16 * kFiniteChunk;

// Until the task that must be first is done, which was handed out before: a short look, then the processor is
// left to it.
void wait_for(const std::atomic<int64_t>& ticket, int64_t value) {
  for (int looks = 0; ticket.load(std::memory_order_acquire) != value; ++looks) {
    if (looks > 1000) std::this_thread::yield();
  }
}

class Backward {
 public:
  Backward(const BackwardKernels& kernels, const TileProgram& program, const TileBinding& binding,
           const BackwardProblem& problem, const Workspace& workspace, Executor& executor)
      : kernels_(kernels),
        problem_(problem.forward),
        executor_(executor),
        layout_(kernels, program, problem, executor.num_threads()),
        call_(backward_call(kernels, layout_, program, &binding, problem)),
        memory_(static_cast<char*>(workspace.data)) {
    call_.row_lse = reinterpret_cast<float*>(memory_ + layout_.lse_offset);
    call_.row_delta = reinterpret_cast<float*>(memory_ + layout_.delta_offset);
    call_.query_not_finite = reinterpret_cast<uint8_t*>(memory_ + layout_.query_flags_offset);
    call_.dout_not_finite = reinterpret_cast<uint8_t*>(memory_ + layout_.dout_flags_offset);
    if (layout_.query_sums_bytes != 0) {
      call_.query_sums = reinterpret_cast<float*>(memory_ + layout_.query_sums_offset);
    }
  }

  void run() {
    if (layout_.heads == 0 || layout_.task_heads == 0) return;
    prepare_rows();
    for (int64_t head = 0; head < layout_.heads; ++head) new (ticket(head)) std::atomic<int64_t>(0);
    // All heads' first chunks, then their second ones: with a causal mask the longest come first, and
    // those that wait for each other are far apart.
    executor_.parallel(layout_.chunks * layout_.heads, [this](int64_t task, int worker) {
      run_chunk(task % layout_.heads, task / layout_.heads, worker);
    });
  }

 private:
  std::atomic<int64_t>* ticket(int64_t head) const {
    return reinterpret_cast<std::atomic<int64_t>*>(memory_ + layout_.tickets_offset) + head;
  }

  // One worker's memory for one task.
  struct Task {
    int64_t head, chunk;
    void* scratch;
    float* sums;
    uint8_t* touched;
  };

  void prepare_rows() {
    executor_.parallel((layout_.rows + kRowStep - 1) / kRowStep, [&](int64_t task, int) {
      const int64_t first = task * kRowStep;
      kernels_.prepare_rows(call_, {first, std::min(first + kRowStep, layout_.rows)});
    });
  }

  void run_chunk(int64_t head, int64_t chunk, int worker) const {
    char* memory =
        memory_ + layout_.workers_offset + static_cast<std::size_t>(worker) * layout_.worker_bytes;
    const Task task{head, chunk, memory, reinterpret_cast<float*>(memory + layout_.sums_offset),
                    reinterpret_cast<uint8_t*>(memory + layout_.touched_offset)};
    if (call_.dquery.data != nullptr) {
      std::memset(task.touched, 0, static_cast<std::size_t>(layout_.task_heads * layout_.units));
    }
    kernels_.begin(call_, task.scratch);
    const int64_t first = chunk * layout_.chunk_keys;
    const int64_t last = std::min(first + layout_.chunk_keys, problem_.kv_len);
    for (int64_t span = first; span < last; span += layout_.span) {
      const int64_t end = std::min(span + layout_.span, last);
      for (int64_t kv = span; kv < end; kv += layout_.key_tile) {
        run_tile(task, kv, std::min(layout_.key_tile, end - kv));
      }
    }
    if (call_.dquery.data == nullptr) return;
    wait_for(*ticket(head), chunk);
    add_queries(task);
    ticket(head)->store(chunk + 1, std::memory_order_release);
  }

  // The query heads of a task: batch by batch, the group of the kv head in each.
  int64_t first_batch(const Task& task) const {
    return layout_.batches_together ? 0 : task.head / problem_.kv_heads;
  }
  int64_t batches() const { return layout_.batches_together ? problem_.batch : 1; }
  int64_t kv_head(const Task& task) const { return task.head % problem_.kv_heads; }

  bool sums_in_place(const Task& task) const { return layout_.in_place && task.chunk == 0; }

  QuerySums sums_of(const Task& task, int64_t index, int64_t b, int64_t h, int64_t q_first) const {
    QuerySums sums;
    if (call_.dquery.data == nullptr) return sums;
    sums.touched = task.touched + index * layout_.units;
    sums.unit = layout_.unit;
    if (sums_in_place(task) && call_.query_sums != nullptr) {
      const int64_t row = b * call_.batch_rows + h * call_.head_rows + q_first;
      sums.data = call_.query_sums + row * layout_.query_row;
      sums.row = layout_.query_row;
    } else if (sums_in_place(task)) {
      const Gradient4& to = call_.dquery;
      sums.data = static_cast<float*>(to.data) + b * to.batch + h * to.head + q_first * to.row;
      sums.row = to.row;
    } else {
      sums.data = task.sums + index * problem_.q_len * layout_.query_row;
      sums.row = layout_.query_row;
    }
    return sums;
  }

  void run_tile(const Task& task, int64_t kv0, int64_t tile_keys) const {
    const int64_t group = problem_.group(), end = first_batch(task) + batches();
    for (int64_t b = first_batch(task), index = 0; b < end; ++b, index += group) {
      const Sequence sequence = problem_.sequence(b);
      const BackwardKeys keys{b, kv_head(task), sequence.kv_first, kv0,
                              std::min(tile_keys, sequence.kv_len - kv0)};
      if (keys.keys <= 0) continue;
      bool packed = false;
      for (int64_t g = 0; g < group; ++g) {
        walk(task, keys, sequence, index + g, kv_head(task) * group + g, packed);
      }
      if (b + 1 == end) kernels_.store_keys(call_, keys, task.scratch);
    }
  }

  void walk(const Task& task, const BackwardKeys& keys, const Sequence& sequence, int64_t index,
            int64_t h, bool& packed) const {
    BackwardWalk walk;
    walk.b = keys.b;
    walk.h = h;
    walk.q_first = sequence.q_first;
    walk.q_len = sequence.q_len;
    walk.queries = sums_of(task, index, keys.b, h, sequence.q_first);
    const auto walk_strips = [&](std::span<const BackwardStrip> strips) {
      walk.strips = strips.data();
      walk.count = static_cast<int64_t>(strips.size());
      if (!packed) kernels_.begin_keys(call_, keys, task.scratch);
      packed = true;
      kernels_.walk(call_, keys, walk, task.scratch);
    };
    if (!problem_.block_mask) {
      const BackwardStrip all{0, sequence.q_len, 0, keys.keys, false};
      if (sequence.q_len > 0) walk_strips({&all, 1});
      return;
    }
    const BlockMask& mask = problem_.block_mask;
    const int64_t first = keys.kv0 / mask.block_size().kv;
    const int64_t end = std::min(first + layout_.columns, mask.columns());
    std::array<ColumnRuns, BackwardLayout::kMaxColumns> columns;
    std::size_t count = 0;
    for (int64_t column = first; column < end; ++column) {
      columns[count++] = {mask.full_in_column(keys.b, h, column),
                          mask.partial_in_column(keys.b, h, column)};
    }
    StripWalker strips({columns.data(), count}, mask.block_size(), sequence.q_len, keys.keys);
    for (auto some = strips.next(); !some.empty(); some = strips.next()) walk_strips(some);
  }

  void add_queries(const Task& task) const {
    const int64_t group = problem_.group();
    for (int64_t index = 0; index < layout_.task_heads; ++index) {
      QueryPart part;
      part.b = first_batch(task) + index / group;
      part.h = kv_head(task) * group + index % group;
      const Sequence sequence = problem_.sequence(part.b);
      part.q_first = sequence.q_first;
      part.q_len = sequence.q_len;
      part.from = sums_of(task, index, part.b, part.h, part.q_first);
      part.first = task.chunk == 0;
      part.in_place = sums_in_place(task);
      part.last = task.chunk + 1 == layout_.chunks;
      kernels_.add_queries(call_, part);
    }
  }

  const BackwardKernels& kernels_;
  const Problem& problem_;
  Executor& executor_;
  const BackwardLayout layout_;
  BackwardCall call_;
  char* memory_;
};

}  // namespace

std::size_t backward_workspace_bytes(const BackwardKernels& kernels, const TileProgram& program,
                                     const BackwardProblem& problem, int threads) {
  return BackwardLayout(kernels, program, problem, threads).total_bytes;
}

void run_backward(const BackwardKernels& kernels, const TileProgram& program,
                  const TileBinding& binding, const BackwardProblem& problem,
                  const Workspace& workspace, Executor& executor) {
  Backward(kernels, program, binding, problem, workspace, executor).run();
}

}  // namespace fovea::cpu
