// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

#include <fovea/export.h>
#include <fovea/program.h>

/// BlockMask: which blocks of the (query x key) plane a mask leaves full, partial or empty.
///
/// Built by splitting boxes, at a cost of the blocks listed, never of q_len x kv_len. The kernels
/// skip empty blocks, run full ones without evaluating the mask, and evaluate it in partial ones.
namespace fovea {

/// Consecutive blocks [begin, end).
struct BlockRun {
  int32_t begin = 0;
  int32_t end = 0;
  friend bool operator==(const BlockRun&, const BlockRun&) = default;
};

struct BlockSize {
  int64_t q = 128;
  int64_t kv = 128;
};

struct BlockMaskOptions {
  int64_t q_len = 0;
  int64_t kv_len = 0;
  int64_t batch = 1;  ///< stored once if the mask does not read b
  int64_t heads = 1;  ///< query heads; stored once if the mask does not read h
  BlockSize block_size = {};
};

/// How many blocks of each kind, over all stored planes.
struct BlockCounts {
  int64_t full = 0;
  int64_t partial = 0;
  int64_t skipped = 0;
  int64_t total() const noexcept { return full + partial + skipped; }
};

/// What building a mask cost (`fovea bench masks` prints it).
struct BlockMaskStats {
  int64_t boxes = 0;             ///< boxes whose bounds were computed
  int64_t leaves = 0;            ///< undecided blocks that were looked at element by element
  int64_t leaf_evaluations = 0;  ///< elements evaluated in them
};

/// Immutable and cheap to copy. A default-constructed BlockMask is empty and means "no mask".
class FOVEA_API BlockMask {
 public:
  struct Data;  // src/mask/block_mask_data.h
  BlockMask() = default;
  explicit BlockMask(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  explicit operator bool() const noexcept { return data_ != nullptr; }

  int64_t q_len() const;
  int64_t kv_len() const;
  int64_t batch() const;  ///< stored planes: 1 if it is the same for every batch entry
  int64_t heads() const;  ///< likewise
  BlockSize block_size() const;
  int64_t rows() const;     ///< blocks along q, ceil(q_len / block_size.q)
  int64_t columns() const;  ///< blocks along kv
  const Program& mask_mod() const;

  /// The runs of a block row, in the order in which kernels walk them. b and h may be any index of
  /// the call's batch and heads; a plane that is stored once serves them all.
  /// A block is full if every position of the block is allowed; a block that reaches beyond q_len
  /// or kv_len is at most partial (as in PyTorch).
  std::span<const BlockRun> full(int64_t b, int64_t h, int64_t row) const;
  std::span<const BlockRun> partial(int64_t b, int64_t h, int64_t row) const;
  /// The same lists by block column, for the backward pass.
  std::span<const BlockRun> full_in_column(int64_t b, int64_t h, int64_t column) const;
  std::span<const BlockRun> partial_in_column(int64_t b, int64_t h, int64_t column) const;

  BlockCounts counts() const;
  double sparsity() const;  ///< percent of blocks skipped; partial ones count as computed
  int64_t memory_bytes() const;
  const BlockMaskStats& stats() const;

  /// A picture of plane (b, h): `██` full, `░░` partial, blank skipped; at most max_rows x
  /// max_columns cells, each cell the mix of the blocks that it covers.
  std::string to_string(int64_t b = 0, int64_t h = 0, int64_t max_rows = 20,
                        int64_t max_columns = 20) const;

 private:
  std::shared_ptr<const Data> data_;
};

FOVEA_API BlockMask create_block_mask(const Program& mask_mod, const BlockMaskOptions& options);

template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Program>)
BlockMask create_block_mask(F&& mod, const BlockMaskOptions& options) {
  return create_block_mask(fovea::mask_mod(std::forward<F>(mod)), options);
}

}  // namespace fovea
