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
  layout.tiles_per_span = ceil_div(layout.span, layout.key_tile);
  layout.units = ceil_div(p.q_len, layout.unit);
}

void choose_chunks(BackwardLayout& layout, const BackwardProblem& problem) {
  const Problem& p = problem.forward;
  for (const TensorView* gradient : {&problem.dkey, &problem.dvalue}) {
    layout.batches_together |= !p.jagged && *gradient && gradient->size(0) < p.batch;
  }
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

// Rows that products can read where they are: whole vectors of columns that lie together.
bool is_readable(const TensorView& rows, int64_t lanes) {
  return rows.stride(3) == 1 && rows.size(3) % lanes == 0;
}

Tensor4 tensor(const TensorView& view) {
  // One batch entry serves all: that of a jagged tensor.
  return {view.data,      view.dtype,     view.size(0) == 1 ? 0 : view.stride(0),
          view.stride(1), view.stride(2), view.stride(3)};
}

Gradient4 gradient(const TensorView& view) {
  if (!view) return {};
  return {view.data,      view.dtype,     view.size(0) == 1 ? 0 : view.stride(0),
          view.stride(1), view.stride(2), view.stride(3)};
}

RowInput row_input(const TensorView& view) {
  return {view.data, view.dtype == DType::f64, view.size(0) == 1 ? 0 : view.stride(0),
          view.stride(1), view.stride(2)};
}

}  // namespace

BackwardLayout::BackwardLayout(const BackwardKernels& kernels, const BackwardPrograms& programs,
                               const BackwardProblem& problem) {
  const Problem& p = problem.forward;
  choose_tiles(*this, p);
  choose_chunks(*this, problem);
  rows = (p.jagged ? 1 : p.batch) * p.q_heads * p.query.size(2);

  const auto take = [&](std::size_t& offset, std::size_t size) {
    offset = shared_bytes;
    shared_bytes += align(size);
  };
  const auto flags = static_cast<std::size_t>(ceil_div(rows, kFiniteChunk));
  take(lse_offset, static_cast<std::size_t>(rows) * sizeof(LseRow));
  take(delta_offset, floats(rows));
  take(query_flags_offset, flags);
  take(dout_flags_offset, flags);

  std::size_t private_bytes = 0, touched_bytes = 0;
  if (problem.dquery) {
    query_row = round_up(p.head_dim, kernels.lanes);
    const bool apart = problem.dquery.dtype != DType::f32 && chunks > 1;
    if (apart) query_sums_bytes = floats(rows * query_row);
    in_place =
        apart || (problem.dquery.dtype == DType::f32 && is_readable(problem.dquery, kernels.lanes));
    if (!in_place || chunks > 1) private_bytes = floats(task_heads * p.q_len * query_row);
    touched_bytes = align(static_cast<std::size_t>(task_heads * units));
  }
  take(query_sums_offset, query_sums_bytes);
  delta_pass = programs.two_passes;
  const BackwardCall call = backward_call(kernels, *this, programs, nullptr, problem);
  sums_offset = kernels.scratch(call);
  if (delta_pass) sums_offset = std::max(sums_offset, kernels.scratch(delta_call(call)));
  touched_offset = sums_offset + private_bytes;
  deltas_offset = touched_offset + touched_bytes;
  worker_bytes = deltas_offset + (delta_pass ? floats(task_heads * p.q_len) : 0);
}

CaptureTasks BackwardLayout::capture_tasks(const BackwardProblem& problem) const {
  return {.heads = heads,
          .task_heads = task_heads,
          .chunks = chunks,
          .chunk_keys = chunk_keys,
          .tiles = ceil_div(problem.forward.kv_len, span) * tiles_per_span,
          .batches_together = batches_together};
}

BackwardCall backward_call(const BackwardKernels& kernels, const BackwardLayout& layout,
                           const BackwardPrograms& programs, const BackwardBindings* bindings,
                           const BackwardProblem& problem) {
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
  call.head_rows = p.query.size(2);
  call.batch_rows = p.jagged ? 0 : p.q_heads * call.head_rows;
  call.query_row = layout.query_row;
  call.head_dim = p.head_dim;
  call.value_dim = p.value_dim;
  call.scale = static_cast<float>(p.scale);
  call.key_tile = layout.key_tile;
  call.row_tile = layout.row_tile;
  const auto in_place = [&](const TensorView& rows, const TensorView& gradient) {
    return rows.dtype == DType::f32 && (!gradient || is_readable(rows, kernels.lanes));
  };
  call.has_score_mod = static_cast<bool>(p.score_mod);
  const bool scaled = call.has_score_mod && call.scale != 1.0f;  // copies are
  call.query_in_place = !scaled && in_place(p.query, problem.dkey);
  call.dout_in_place = in_place(problem.dout, problem.dvalue);
  const auto use = [](const TileProgram& program, const TileBinding* binding,
                      const TileProgram*& to, const TileBinding*& bound) {
    if (program.empty()) return;
    to = &program;
    bound = binding;
  };
  use(programs.scores, bindings ? &bindings->scores : nullptr, call.program, call.binding);
  use(programs.weights, bindings ? &bindings->weights : nullptr, call.weight_program,
      call.weight_binding);
  for (const auto* gradients : {&problem.score_captures, &problem.weight_captures}) {
    for (const TensorView& gradient : *gradients) call.captures_wanted |= bool(gradient);
  }
  call.delta_from_out = !layout.delta_pass;
  return call;
}

BackwardCall delta_call(const BackwardCall& call) {
  BackwardCall first = call;
  first.dquery = first.dkey = first.dvalue = {};
  first.captures_wanted = false;
  first.delta_pass = true;
  return first;
}

}  // namespace fovea::cpu
