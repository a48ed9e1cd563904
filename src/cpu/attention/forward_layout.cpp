// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/forward_layout.h"

#include <algorithm>
#include <limits>
#include <numbers>
#include <optional>

#include "attention/element_access.h"
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

RowOutput row_output(const std::optional<TensorView>& view) {
  if (!view) return {};
  return {static_cast<float*>(view->data), view->stride(0), view->stride(1), view->stride(2)};
}

}  // namespace

bool multiplies_pairs(const AttentionKernels& kernels, const Problem& problem) {
  return kernels.pairs && problem.query.dtype == DType::bf16 && problem.key.dtype == DType::bf16 &&
         problem.value.dtype == DType::bf16;
}

int64_t key_step_of(const Problem&) { return 256; }

// Whether a head of so many keys leaves its values where they are.
bool reads_values_in_place(const AttentionKernels& kernels, const Problem& problem,
                           int64_t kv_len) {
  const bool readable = problem.value.dtype == DType::f32 && problem.value.stride(3) == 1 &&
                        problem.value_dim % kernels.lanes == 0 && !problem.page_table;
  const int64_t columns =
      ceil_div(problem.value_dim, kernels.block_columns) * kernels.block_columns;
  return readable && columns * kv_len * static_cast<int64_t>(sizeof(float)) > kLargestPackedValues;
}

int64_t max_tile_rows_of(const Problem& problem) {
  // Queries, scores and sums of a tile stay in the second-level cache.
  return problem.head_dim + problem.value_dim <= 512 ? 128 : 64;
}

ForwardLayout::ForwardLayout(const AttentionKernels& kernels, const ForwardPrograms& programs,
                             const Problem& problem, int threads)
    : kernels_(kernels), problem_(problem) {
  pairs = multiplies_pairs(kernels, problem);
  choose_tiles(threads);
  kv_heads = problem.batch * problem.kv_heads;
  if (problem.sequences.empty()) {
    choose_waves(threads);
  } else {
    choose_sequences(threads);
  }
  if (!private_heads && (problem.block_mask || sequences)) {
    order_by_head = sequences || problem.block_mask.batch() > 1 || problem.block_mask.heads() > 1;
    const int64_t count = tiles(sequences ? sequences->shared_queries() : problem.q_len).count;
    const int64_t entries = order_by_head ? count * problem.group() * wave_heads : count;
    order_bytes = align(static_cast<std::size_t>(entries) * sizeof(int64_t));
  }
  if (sequences) sequences_bytes = align(sequences->bytes());
  scratch_bytes =
      kernels.forward_scratch(forward_call(kernels, programs, nullptr, problem, tile_rows));
  total_bytes = heads_bytes + order_bytes + sequences_bytes +
                scratch_bytes * static_cast<std::size_t>(threads);
}

void ForwardLayout::choose_tiles(int threads) {
  // Two tasks a thread if tiles of 32 rows or more give them.
  int64_t rows = problem_.batch * problem_.q_len;
  if (!problem_.sequences.empty()) {
    rows = 0;
    for (const attention::Sequence& s : problem_.sequences) rows += s.q_len;
  }
  const int64_t fair = std::max<int64_t>(32, ceil_div(rows * problem_.q_heads, 2 * threads));
  largest_tile_ = std::min(max_tile_rows_of(problem_), fair);
  const Tiles longest = tiles(problem_.q_len);
  // Shorter sequences may be cut into larger parts.
  tile_rows =
      problem_.sequences.empty() ? longest.rows : std::min(largest_tile_, longest.block_rows);
}

ForwardLayout::Tiles ForwardLayout::tiles(int64_t q_len) const {
  Tiles tiles{};
  const int64_t block = problem_.block_mask ? problem_.block_mask.block_size().q : q_len;
  tiles.block_rows = std::max<int64_t>(1, std::min(block, q_len));
  tiles.rows = equal_part(tiles.block_rows, std::min(largest_tile_, tiles.block_rows));
  tiles.per_block = ceil_div(tiles.block_rows, tiles.rows);
  tiles.count = ceil_div(q_len, tiles.block_rows) * tiles.per_block;
  return tiles;
}

ForwardLayout::Head ForwardLayout::head(int64_t kv_len) const {
  const int64_t width = kernels_.block_columns, per_word = pairs ? 2 : 1;
  const int64_t values = ceil_div(problem_.value_dim, width) * width * ceil_div(kv_len, per_word);
  Head head{};
  head.values_in_place = reads_values_in_place(kernels_, problem_, kv_len);
  head.values_offset =
      floats(ceil_div(kv_len, width) * width * ceil_div(problem_.head_dim, per_word));
  head.flags_offset = head.values_offset + (head.values_in_place ? 0 : floats(values));
  const int64_t chunks = ceil_div(kv_len, kFiniteChunk);
  head.norms_offset = head.flags_offset + align(static_cast<std::size_t>(chunks));
  head.bytes = head.norms_offset + floats(chunks);
  return head;
}

void ForwardLayout::choose_waves(int threads) {
  head_bytes = private_bytes = head(problem_.kv_len).bytes;
  const auto bytes = static_cast<int64_t>(head_bytes);
  const int64_t tasks = tiles(problem_.q_len).count * problem_.group();
  const bool tiny = bytes <= kTinyHeadBytes;
  const bool many = kv_heads >= 16 * threads && bytes * threads <= kWaveBytes;
  private_heads = threads == 1 || many || tiny;
  if (private_heads) {
    const int64_t wanted = many ? 1 : ceil_div(threads, std::max<int64_t>(1, kv_heads));
    splits = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, tasks));
    heads_bytes = head_bytes * static_cast<std::size_t>(threads);
    return;
  }
  wave_heads = std::clamp<int64_t>(kWaveBytes / std::max<int64_t>(1, bytes), 1,
                                   std::max<int64_t>(1, kv_heads));
  heads_bytes = head_bytes * static_cast<std::size_t>(wave_heads);
}

void ForwardLayout::choose_sequences(int threads) {
  // Longer heads would take too much memory if each worker had one.
  const auto a_key = static_cast<int64_t>(head(kPackStep).bytes) / kPackStep + 1;
  sequences.emplace(problem_, threads, kWaveBytes / threads / a_key);
  private_bytes = head(sequences->private_keys()).bytes;
  head_bytes = head(sequences->shared_keys()).bytes;
  private_heads = sequences->shared_heads() == 0;
  wave_heads =
      std::clamp<int64_t>(kWaveBytes / std::max<int64_t>(1, static_cast<int64_t>(head_bytes)), 1,
                          std::max<int64_t>(1, sequences->shared_heads()));
  heads_bytes = std::max(private_bytes * static_cast<std::size_t>(threads),
                         private_heads ? 0 : head_bytes * static_cast<std::size_t>(wave_heads));
}

float sink_of(const Problem& problem, int64_t h) {
  if (!problem.sinks) return -std::numeric_limits<float>::infinity();
  const double sink = attention::load_element(*problem.sinks, h * problem.sinks->stride(0));
  return static_cast<float>(sink * std::numbers::log2e);
}

ForwardCall forward_call(const AttentionKernels& kernels, const ForwardPrograms& programs,
                         const ForwardBindings* bindings, const Problem& problem,
                         int64_t tile_rows) {
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
  call.lse = row_output(problem.lse);
  call.max_scores = row_output(problem.max_scores);
  call.head_dim = problem.head_dim;
  call.value_dim = problem.value_dim;
  call.scale = static_cast<float>(problem.scale);
  call.max_rows = tile_rows;
  call.key_step = key_step_of(problem);
  call.copies_values = reads_values_in_place(kernels, problem, problem.kv_len);
  if (problem.block_mask) {
    call.has_mask = true;
    call.mask_block = problem.block_mask.block_size().kv;
  }
  if (!programs.scores.empty()) {
    call.program = &programs.scores;
    call.binding = bindings ? &bindings->scores : nullptr;
  }
  if (!programs.weights.empty()) {
    call.weight_program = &programs.weights;
    call.weight_binding = bindings ? &bindings->weights : nullptr;
    call.two_passes = programs.two_passes;
  }
  call.has_score_mod = static_cast<bool>(problem.score_mod);
  return call;
}

}  // namespace fovea::cpu
