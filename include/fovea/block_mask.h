// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <fovea/export.h>
#include <fovea/program.h>
#include <fovea/tensor.h>

/// BlockMask: which blocks of the (query x key) plane a mask leaves full, partial or empty.
///
/// Built by splitting boxes, at a cost of the blocks listed, never of q_len x kv_len. The kernels
/// skip empty blocks, run full ones without evaluating the mask, and evaluate it in partial ones.
/// docs/block-mask.md shows it all; <fovea/block_mask_file.h> saves and loads.
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
  friend bool operator==(const BlockSize&, const BlockSize&) = default;
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

/// What is refused rather than allocated, unless the caller allows more.
inline constexpr int64_t kMostBytes = int64_t{1} << 31;

/// The lists of a mask as index tensors in PyTorch's form, of any integer dtype and with any strides.
/// Leading dimensions may be absent. `capacity` may be less than the number of block columns.
struct KvBlocks {
  TensorView kv_num_blocks = {};       ///< [batch, heads, rows]
  TensorView kv_indices = {};          ///< [batch, heads, rows, capacity], in the order of the walk
  TensorView full_kv_num_blocks = {};  ///< empty: every listed block is partial
  TensorView full_kv_indices = {};
};

struct KvBlocksOptions {
  BlockSize block_size = {};
  Program mask_mod = {};                         ///< empty: all of a partial block is allowed
  std::optional<int64_t> q_len = std::nullopt;   ///< default rows * block_size.q
  std::optional<int64_t> kv_len = std::nullopt;  ///< default capacity * block_size.kv
};

/// PyTorch's padded index tensors, row-major. In each line, what stands after the listed blocks are the
/// other blocks, ascending.
struct PaddedLists {
  int64_t batch = 0, heads = 0, rows = 0, columns = 0;
  std::vector<int32_t> kv_num_blocks, full_kv_num_blocks;  ///< [batch, heads, rows]
  std::vector<int32_t> kv_indices, full_kv_indices;        ///< [batch, heads, rows, columns]
  std::vector<int32_t> q_num_blocks, full_q_num_blocks;    ///< [batch, heads, columns]
  std::vector<int32_t> q_indices, full_q_indices;          ///< [batch, heads, columns, rows]
};

/// What index() takes along one axis: one index (an integer converts), all, a slice or a list, with
/// Python's meaning of negative numbers and of slices that reach beyond the ends.
class FOVEA_API BlockIndex {
 public:
  BlockIndex() = default;  ///< all
  template <std::integral T>
  BlockIndex(T index)  // NOLINT: implicit, so that calls read like indexing
      : kind_(Kind::list), list_{static_cast<int64_t>(index)} {}
  static BlockIndex all() { return {}; }
  /// begin, begin + step, ... below end; step >= 1.
  static BlockIndex slice(std::optional<int64_t> begin, std::optional<int64_t> end = std::nullopt,
                          int64_t step = 1);
  static BlockIndex list(std::vector<int64_t> indices);

  /// The indices that it means on an axis of `size`. InvalidArgument, prefixed `[where]`.
  std::vector<int64_t> resolve(int64_t size, const char* where, const char* axis) const;

 private:
  enum class Kind : uint8_t { all, slice, list };
  Kind kind_ = Kind::all;
  std::optional<int64_t> begin_, end_;
  int64_t step_ = 1;
  std::vector<int64_t> list_;
};

/// Immutable and cheap to copy. A default-constructed BlockMask is empty and means "no mask".
class FOVEA_API BlockMask {
 public:
  struct Data;  // src/mask/block_mask_data.h
  BlockMask() = default;
  explicit BlockMask(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  explicit operator bool() const noexcept { return data_ != nullptr; }

  /// A mask of the caller's lists. They decide: a full block is allowed whatever mask_mod says, and a
  /// block that is not listed is not. InvalidArgument for an index outside, a count beyond the
  /// capacity, a block listed twice or both full and partial.
  static BlockMask from_kv_blocks(const KvBlocks& blocks, const KvBlocksOptions& options = {});

  int64_t q_len() const;
  int64_t kv_len() const;
  int64_t batch() const;  ///< stored planes: 1 if it is the same for every batch entry
  int64_t heads() const;  ///< likewise
  BlockSize block_size() const;
  int64_t rows() const;     ///< blocks along q, ceil(q_len / block_size.q)
  int64_t columns() const;  ///< blocks along kv
  /// Empty after index(), which drops it as PyTorch does.
  const Program& mask_mod() const;
  /// Whether the lists say more than mask_mod does: true for from_kv_blocks, index and with_mask_mod.
  /// Otherwise a position is allowed where mask_mod is true, and the lists only save work.
  bool lists_decide() const;

  std::array<int64_t, 4> shape() const;  ///< batch, heads, q_len, kv_len
  int64_t numel() const;                 ///< their product

  /// The runs of a block row, in the order in which kernels walk them. b and h may be any index of
  /// the call's batch and heads; a plane that is stored once serves them all.
  /// A block is full if every position of the block is allowed. In what create_block_mask makes, a
  /// block that reaches beyond q_len or kv_len is at most partial (as in PyTorch).
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
  /// One line: `BlockMask(shape=(1, 1, 4096, 4096), sparsity=48.44%, blocks=32 x 32 of 128 x 128, ...)`.
  std::string summary() const;

  /// The lists in PyTorch's form; InvalidArgument if they would take more than max_bytes.
  PaddedLists padded_lists(int64_t max_bytes = kMostBytes) const;
  /// [batch, heads, rows, columns]: 1 for every full or partial block.
  std::vector<uint8_t> to_dense(int64_t max_bytes = kMostBytes) const;

  /// The planes of some batch entries and heads, and some of the block rows, in the given order. An axis
  /// keeps its place also for one index. The mask_mod is dropped, because its positions are those of
  /// the whole mask: give the result one by with_mask_mod, or use decode_slice.
  BlockMask index(const BlockIndex& batch, const BlockIndex& heads = {},
                  const BlockIndex& rows = {}) const;
  /// The same lists with another mask_mod; they decide, as in from_kv_blocks.
  BlockMask with_mask_mod(const Program& mask_mod) const;
  /// The query rows [position, position + count); mask_mod sees q + position. The position is a
  /// parameter: a step of decoding changes no program's structure, and so compiles nothing.
  BlockMask decode_slice(int64_t position, int64_t count = 1) const;
  /// Cut to the upper left corner (PyTorch's _adjust). Neither length may grow.
  BlockMask adjusted(int64_t q_len, int64_t kv_len) const;
  /// As many planes as that, where one was stored once; their lists are shared.
  BlockMask expanded(int64_t batch, int64_t heads) const;
  /// Queries and keys exchanged: rows are columns, and mask_mod gets (b, h, kv, q).
  BlockMask transposed() const;
  /// Every listed block partial, so that mask_mod is evaluated everywhere; ascending lists.
  BlockMask without_full_blocks() const;

  const std::shared_ptr<const Data>& shared_data() const noexcept { return data_; }

 private:
  std::shared_ptr<const Data> data_;
};

FOVEA_API BlockMask create_block_mask(const Program& mask_mod, const BlockMaskOptions& options);

template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Program>)
BlockMask create_block_mask(F&& mod, const BlockMaskOptions& options) {
  return create_block_mask(fovea::mask_mod(std::forward<F>(mod)), options);
}

/// Masks of the same lengths and block size combined, at a cost of the blocks listed: what
/// create_block_mask makes of the combined mods. A batch or head axis stored once fits any other.
/// InvalidArgument if the lists of one decide (lists_decide).
FOVEA_API BlockMask and_masks(const BlockMask& a, const BlockMask& b);
FOVEA_API BlockMask or_masks(const BlockMask& a, const BlockMask& b);
FOVEA_API BlockMask not_mask(const BlockMask& a);

struct MaskOptions {
  int64_t q_len = 0;
  int64_t kv_len = 0;
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t max_bytes = kMostBytes;
};

/// Every position by itself, [batch, heads, q_len, kv_len], 1 where allowed: for looking at masks and for
/// tests. Of a score_mod: where it does not make -inf of a score of 0. InvalidArgument beyond max_bytes.
FOVEA_API std::vector<uint8_t> create_mask(const Program& mod, const MaskOptions& options);

}  // namespace fovea
