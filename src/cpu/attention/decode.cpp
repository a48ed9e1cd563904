// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/decode.h"

#include <algorithm>

#include "cpu/attention/forward_layout.h"
#include "cpu/attention/key_rows.h"

namespace fovea::cpu {
namespace {

using attention::Problem;
using attention::Sequence;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Columns of a row lie together.
bool contiguous_rows(const TensorView& tensor) {
  return tensor.stride(3) == 1 || tensor.size(3) == 1;
}

class Decode {
 public:
  Decode(const AttentionKernels& kernels, const ForwardPrograms& programs,
         const ForwardBindings* bindings, const Problem& problem, int threads)
      : kernels_(kernels), problem_(problem) {
    call_.call = forward_call(kernels, programs, bindings, problem, problem.q_len);
    call_.rows = problem.group() * problem.q_len;
    heads_ = problem.batch * problem.kv_heads;
    pieces_ = ceil_div(problem.kv_len, kDecodePiece);
    scratch_bytes_ = kernels.decode_scratch(call_);
    // Pieces that are the whole of their head are merged at once.
    const int64_t partials = pieces_ > 1 ? heads_ * pieces_ : threads;
    partial_bytes_ = static_cast<std::size_t>(partials * partial_piece()) * sizeof(float);
    total_bytes_ = partial_bytes_ + scratch_bytes_ * static_cast<std::size_t>(threads);
  }

  std::size_t total_bytes() const { return total_bytes_; }

  void run(const Workspace& workspace, Executor& executor) {
    partials_ = static_cast<float*>(workspace.data);
    scratch_ = static_cast<char*>(workspace.data) + partial_bytes_;
    if (pieces_ <= 1) {
      executor.parallel(heads_, [this](int64_t head, int worker) {
        float* partial = partials_ + worker * partial_piece();
        run_piece(head, 0, partial, worker);
        for (int64_t row = 0; row < call_.rows; ++row) merge(head, row, partial, worker);
      });
      return;
    }
    // All heads of the same keys after each other: often they lie side by side.
    executor.parallel(heads_ * pieces_, [this](int64_t task, int worker) {
      const int64_t h = task % problem_.kv_heads, index = task / problem_.kv_heads % pieces_;
      const int64_t head = task / problem_.kv_heads / pieces_ * problem_.kv_heads + h;
      run_piece(head, index, partials_ + (head * pieces_ + index) * partial_piece(), worker);
    });
    executor.parallel(heads_ * call_.rows, [this](int64_t task, int worker) {
      const int64_t head = task / call_.rows;
      merge(head, task % call_.rows, partials_ + head * pieces_ * partial_piece(), worker);
    });
  }

 private:
  int64_t partial_piece() const { return call_.rows * call_.partial_row(); }
  void* scratch(int worker) const {
    return scratch_ + static_cast<std::size_t>(worker) * scratch_bytes_;
  }

  void run_piece(int64_t head, int64_t index, float* partial, int worker) const {
    const int64_t b = head / problem_.kv_heads;
    const Sequence sequence = problem_.sequence(b);
    DecodePiece piece;
    piece.b = b;
    piece.q_first = sequence.q_first;
    piece.keys = rows_of_head(problem_, problem_.key, head);
    piece.values = rows_of_head(problem_, problem_.value, head);
    piece.first = index * kDecodePiece;
    piece.last = std::min(piece.first + kDecodePiece, sequence.kv_len);
    piece.partial = partial;
    if (index > 0 && piece.first >= piece.last) return;
    piece.last = std::max(piece.first, piece.last);
    const bool masked = static_cast<bool>(problem_.block_mask);
    const int64_t block = masked ? problem_.block_mask.block_size().q : sequence.q_len;
    for (int64_t g = 0; g < problem_.group(); ++g) {
      for (int64_t q = 0; q < sequence.q_len; q += block) {
        DecodeRows& set = piece.sets[piece.set_count++];
        set.h = head % problem_.kv_heads * problem_.group() + g;
        set.q0 = q;
        set.rows = std::min(block, sequence.q_len - q);
        if (!masked) continue;
        const auto full = problem_.block_mask.full(b, set.h, q / block);
        const auto partial_blocks = problem_.block_mask.partial(b, set.h, q / block);
        set.full = full.data();
        set.full_runs = static_cast<int64_t>(full.size());
        set.partial = partial_blocks.data();
        set.partial_runs = static_cast<int64_t>(partial_blocks.size());
      }
    }
    kernels_.decode(call_, piece, scratch(worker));
  }

  // A row of a head, from all its pieces.
  void merge(int64_t head, int64_t row, const float* partial, int worker) const {
    const int64_t b = head / problem_.kv_heads;
    const Sequence sequence = problem_.sequence(b);
    if (row >= problem_.group() * sequence.q_len) return;
    DecodeMerge merge;
    merge.b = b;
    merge.h = head % problem_.kv_heads * problem_.group() + row / sequence.q_len;
    merge.row = sequence.q_first + row % sequence.q_len;
    merge.sink = sink_of(problem_, merge.h);
    merge.partial = partial + row * call_.partial_row();
    merge.pieces = std::max<int64_t>(1, ceil_div(sequence.kv_len, kDecodePiece));
    merge.partial_piece = partial_piece();
    kernels_.decode_merge(call_, merge, scratch(worker));
  }

  const AttentionKernels& kernels_;
  const Problem& problem_;
  DecodeCall call_;
  int64_t heads_ = 0, pieces_ = 0;
  std::size_t scratch_bytes_ = 0, partial_bytes_ = 0, total_bytes_ = 0;
  float* partials_ = nullptr;
  char* scratch_ = nullptr;
};

}  // namespace

bool decodes(const Problem& problem, int64_t q_len) {
  return problem.group() * q_len <= kMaxDecodeRows && contiguous_rows(problem.key) &&
         contiguous_rows(problem.value) && !problem.needs_normalized_weights;
}

std::size_t decode_workspace_bytes(const AttentionKernels& kernels, const ForwardPrograms& programs,
                                   const Problem& problem, int threads) {
  return Decode(kernels, programs, nullptr, problem, threads).total_bytes();
}

void run_decode(const AttentionKernels& kernels, const ForwardPrograms& programs,
                const ForwardBindings& bindings, const Problem& problem, const Workspace& workspace,
                Executor& executor) {
  Decode(kernels, programs, &bindings, problem, executor.num_threads()).run(workspace, executor);
}

}  // namespace fovea::cpu
