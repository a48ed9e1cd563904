// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/forward_layout.h"

#include <algorithm>

#include "cpu/attention/forward.h"

namespace fovea::cpu {
namespace {

using attention::Problem;

// Packed keys and values of the heads that are worked on at the same time.
constexpr int64_t kWaveBytes = int64_t{32} << 20;
// Longer values than this are not copied: they cost more memory than the better layout is worth.
constexpr int64_t kLargestPackedValues = int64_t{12} << 20;
// Below this a worker packs a head faster than it waits for another to do so.
constexpr int64_t kTinyHeadBytes = int64_t{64} << 10;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
std::size_t align(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
std::size_t floats(int64_t n) { return align(static_cast<std::size_t>(n) * sizeof(float)); }

// Parts of at most `largest`, as equal as can be.
int64_t equal_part(int64_t n, int64_t largest) { return ceil_div(n, ceil_div(n, largest)); }

void choose_tiles(ForwardLayout& layout, const Problem& problem, int threads) {
  const bool masked = static_cast<bool>(problem.block_mask);
  layout.block_rows = masked ? problem.block_mask.block_size().q : problem.q_len;
  layout.block_rows = std::max<int64_t>(1, std::min(layout.block_rows, problem.q_len));
  // Two tasks a thread if tiles of 32 rows or more give them.
  const int64_t rows = problem.batch * problem.q_heads * problem.q_len;
  const int64_t fair = std::max<int64_t>(32, ceil_div(rows, 2 * threads));
  const int64_t largest = std::min(max_tile_rows_of(problem), fair);
  layout.tile_rows = equal_part(layout.block_rows, std::min(largest, layout.block_rows));
  layout.tiles_per_block = ceil_div(layout.block_rows, layout.tile_rows);
  layout.tiles = ceil_div(problem.q_len, layout.block_rows) * layout.tiles_per_block;
}

void place_head(ForwardLayout& layout, const AttentionKernels& kernels, const Problem& problem) {
  const int64_t width = kernels.block_columns, per_word = layout.pairs ? 2 : 1;
  const int64_t values =
      ceil_div(problem.value_dim, width) * width * ceil_div(problem.kv_len, per_word);
  const bool readable = problem.value.dtype == DType::f32 && problem.value.stride(3) == 1 &&
                        problem.value_dim % kernels.lanes == 0;
  layout.values_in_place =
      readable && values * static_cast<int64_t>(sizeof(float)) > kLargestPackedValues;
  layout.values_offset =
      floats(ceil_div(problem.kv_len, width) * width * ceil_div(problem.head_dim, per_word));
  layout.flags_offset = layout.values_offset + (layout.values_in_place ? 0 : floats(values));
  layout.head_bytes =
      layout.flags_offset + align(static_cast<std::size_t>(ceil_div(problem.kv_len, kFiniteChunk)));
}

void choose_waves(ForwardLayout& layout, const Problem& problem, int threads) {
  layout.kv_heads = problem.batch * problem.kv_heads;
  const auto bytes = static_cast<int64_t>(layout.head_bytes);
  const int64_t tasks = layout.tiles * problem.group();
  const bool tiny = bytes <= kTinyHeadBytes;
  const bool many = layout.kv_heads >= 16 * threads && bytes * threads <= kWaveBytes;
  layout.private_heads = threads == 1 || many || tiny;
  if (layout.private_heads) {
    const int64_t wanted = many ? 1 : ceil_div(threads, std::max<int64_t>(1, layout.kv_heads));
    layout.splits = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, tasks));
    layout.heads_bytes = layout.head_bytes * static_cast<std::size_t>(threads);
    return;
  }
  layout.wave_heads = std::clamp<int64_t>(kWaveBytes / std::max<int64_t>(1, bytes), 1,
                                          std::max<int64_t>(1, layout.kv_heads));
  layout.heads_bytes = layout.head_bytes * static_cast<std::size_t>(layout.wave_heads);
}

}  // namespace

bool multiplies_pairs(const AttentionKernels& kernels, const Problem& problem) {
  return kernels.pairs && problem.query.dtype == DType::bf16 && problem.key.dtype == DType::bf16 &&
         problem.value.dtype == DType::bf16;
}

int64_t key_step_of(const Problem&) { return 256; }

int64_t max_tile_rows_of(const Problem& problem) {
  // Queries, scores and sums of a tile stay in the second-level cache.
  return problem.head_dim + problem.value_dim <= 512 ? 128 : 64;
}

ForwardLayout::ForwardLayout(const AttentionKernels& kernels, const TileProgram& program,
                             const Problem& problem, int threads) {
  choose_tiles(*this, problem, threads);
  pairs = multiplies_pairs(kernels, problem);
  place_head(*this, kernels, problem);
  choose_waves(*this, problem, threads);
  if (problem.block_mask && !private_heads) {
    order_by_head = problem.block_mask.batch() > 1 || problem.block_mask.heads() > 1;
    const int64_t entries = order_by_head ? tiles * problem.group() * wave_heads : tiles;
    order_bytes = align(static_cast<std::size_t>(entries) * sizeof(int64_t));
  }
  scratch_bytes =
      kernels.forward_scratch(forward_call(kernels, program, nullptr, problem, tile_rows));
  total_bytes = heads_bytes + order_bytes + scratch_bytes * static_cast<std::size_t>(threads);
}

ForwardCall forward_call(const AttentionKernels& kernels, const TileProgram& program,
                         const TileBinding* binding, const Problem& problem, int64_t tile_rows) {
  ForwardCall call;
  call.query = {problem.query.data,      problem.query.dtype,     problem.query.stride(0),
                problem.query.stride(1), problem.query.stride(2), problem.query.stride(3)};
  call.pairs = multiplies_pairs(kernels, problem);
  call.out = problem.out.data;
  call.out_dtype = problem.out.dtype;
  call.out_batch = problem.out.stride(0);
  call.out_head = problem.out.stride(1);
  call.out_row = problem.out.stride(2);
  call.out_column = problem.out.stride(3);
  if (problem.lse) {
    call.lse = static_cast<float*>(problem.lse->data);
    call.lse_batch = problem.lse->stride(0);
    call.lse_head = problem.lse->stride(1);
    call.lse_row = problem.lse->stride(2);
  }
  call.kv_len = problem.kv_len;
  call.head_dim = problem.head_dim;
  call.value_dim = problem.value_dim;
  call.scale = static_cast<float>(problem.scale);
  call.max_rows = tile_rows;
  call.key_step = key_step_of(problem);
  if (problem.block_mask) {
    call.has_mask = true;
    call.mask_block = problem.block_mask.block_size().kv;
  }
  if (!program.empty()) {
    call.program = &program;
    call.binding = binding;
  }
  call.has_score_mod = static_cast<bool>(problem.score_mod);
  return call;
}

}  // namespace fovea::cpu
