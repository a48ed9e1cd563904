// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward_layout.h"

#include <algorithm>

namespace fovea::cpu {
namespace {

using attention::BackwardProblem;
using attention::Problem;

// Tasks that there should be, so that threads get equal shares...
constexpr int64_t kWantedTasks = 64;
// ... if chunks of so many keys give them: each chunk adds to the gradient of all queries.
constexpr int64_t kLeastChunk = 1024;
// What a call with few heads takes rather than leave threads without work.
constexpr int64_t kFewTasks = 8, kLeastChunkOfFew = 256;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
std::size_t align(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
std::size_t floats(int64_t n) { return align(static_cast<std::size_t>(n) * sizeof(float)); }

bool is_shared(const TensorView& gradient, int64_t batch) {
  return gradient && gradient.size(0) < batch;
}

void choose_tiles(BackwardLayout& layout, const Problem& p) {
  // What is packed of the keys, their sums and two tiles of scores stay in the second-level cache.
  const int64_t dims = p.head_dim + p.value_dim;
  const int64_t largest = dims <= 256 ? 256 : dims <= 512 ? 128 : 64;
  layout.row_tile = dims <= 512 ? 128 : 64;
  layout.span = largest;
  layout.unit = layout.row_tile;
  if (p.block_mask) {
    const BlockSize block = p.block_mask.block_size();
    const int64_t width = std::min(block.kv, std::max<int64_t>(1, p.kv_len));
    layout.columns = std::clamp<int64_t>(largest / width, 1, BackwardLayout::kMaxColumns);
    layout.span = layout.columns * width;
    layout.unit = std::min(block.q, std::max<int64_t>(1, p.q_len));
  }
  layout.key_tile = layout.span;
  if (layout.span > largest) {
    layout.key_tile = round_up(ceil_div(layout.span, ceil_div(layout.span, largest)), 16);
  }
  layout.units = ceil_div(p.q_len, layout.unit);
}

void choose_chunks(BackwardLayout& layout, const BackwardProblem& problem) {
  const Problem& p = problem.forward;
  layout.batches_together =
      p.sequences.empty() && (is_shared(problem.dkey, p.batch) || is_shared(problem.dvalue, p.batch));
  layout.heads = (layout.batches_together ? 1 : p.batch) * p.kv_heads;
  layout.task_heads = (layout.batches_together ? p.batch : 1) * p.group();
  const int64_t step = round_up(256, layout.span);
  const auto chunk_of = [&](int64_t tasks, int64_t least) {
    const int64_t wanted = ceil_div(tasks, std::max<int64_t>(1, layout.heads));
    return round_up(std::max(least, ceil_div(p.kv_len, wanted)), step);
  };
  layout.chunk_keys =
      std::min(chunk_of(kWantedTasks, kLeastChunk), chunk_of(kFewTasks, kLeastChunkOfFew));
  // Without keys there is still a task, which clears.
  layout.chunks = std::max<int64_t>(1, ceil_div(p.kv_len, layout.chunk_keys));
}

// Rows are read as an operand of products: whole vectors of columns that lie together. Rows that are a power
// of two apart share few cache sets.
bool is_readable(const TensorView& rows, int64_t lanes) {
  const int64_t width = rows.size(3);
  return rows.stride(3) == 1 && width % lanes == 0;
}

}  // namespace

BackwardLayout::BackwardLayout(const BackwardKernels& kernels, const TileProgram& program,
                               const BackwardProblem& problem, int threads) {
  const Problem& p = problem.forward;
  choose_tiles(*this, p);
  choose_chunks(*this, problem);

  std::size_t bytes = 0;
  const auto take = [&](std::size_t& offset, std::size_t size) {
    offset = bytes;
    bytes += align(size);
  };
  stat_rows = p.batch * p.q_heads * p.q_len;
  stat_chunks = p.batch * p.q_heads * ceil_div(p.q_len, kFiniteChunk);
  take(lse_offset, floats(stat_rows));
  take(delta_offset, floats(stat_rows));
  take(query_flags_offset, static_cast<std::size_t>(stat_chunks));
  take(dout_flags_offset, static_cast<std::size_t>(stat_chunks));
  take(tickets_offset, static_cast<std::size_t>(heads) * sizeof(int64_t));

  std::size_t private_floats = 0, flags = 0;
  if (problem.dquery) {
    in_place = problem.dquery.stride(3) == 1 && p.head_dim % kernels.lanes == 0;
    query_row = round_up(p.head_dim, kernels.lanes);
    if (!in_place || chunks > 1) {
      private_floats = static_cast<std::size_t>(task_heads * p.q_len * query_row);
    }
    flags = static_cast<std::size_t>(task_heads * units);
  }
  BackwardCall call = backward_call(kernels, program, nullptr, problem);
  call.key_tile = key_tile;
  call.row_tile = row_tile;
  sums_offset = kernels.scratch(call);
  touched_offset = sums_offset + align(private_floats * sizeof(float));
  worker_bytes = touched_offset + align(flags);
  take(workers_offset, worker_bytes * static_cast<std::size_t>(threads));
  total_bytes = bytes;
}

namespace {

Tensor4 tensor(const TensorView& view) {
  return {static_cast<const float*>(view.data), view.stride(0), view.stride(1), view.stride(2),
          view.stride(3)};
}

Gradient4 gradient(const TensorView& view) {
  if (!view) return {};
  return {static_cast<float*>(view.data), view.stride(0), view.stride(1), view.stride(2),
          view.stride(3)};
}

RowInput row_input(const TensorView& view) {
  return {view.data, view.dtype == DType::f64, view.stride(0), view.stride(1), view.stride(2)};
}

}  // namespace

BackwardCall backward_call(const BackwardKernels& kernels, const TileProgram& program,
                           const TileBinding* binding, const BackwardProblem& problem) {
  const Problem& p = problem.forward;
  BackwardCall call;
  call.query = tensor(p.query);
  call.key = tensor(p.key);
  call.value = tensor(p.value);
  call.out = tensor(p.out);
  call.dout = tensor(problem.dout);
  call.lse = row_input(*p.lse);
  if (problem.dlse) call.dlse = row_input(*problem.dlse);
  call.dquery = gradient(problem.dquery);
  call.dkey = gradient(problem.dkey);
  call.dvalue = gradient(problem.dvalue);
  call.q_heads = p.q_heads;
  call.q_len = p.q_len;
  call.head_dim = p.head_dim;
  call.value_dim = p.value_dim;
  call.scale = static_cast<float>(p.scale);
  call.query_in_place = !problem.dkey || is_readable(p.query, kernels.lanes);
  call.dout_in_place = !problem.dvalue || is_readable(problem.dout, kernels.lanes);
  if (!program.empty()) {
    call.program = &program;
    call.binding = binding;
  }
  call.has_score_mod = static_cast<bool>(p.score_mod);
  return call;
}

}  // namespace fovea::cpu
