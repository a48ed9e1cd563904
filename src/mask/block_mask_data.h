// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <fovea/block_mask.h>

/// What a BlockMask holds: per stored plane four lists of runs, by block row and by block column.
namespace fovea {

namespace mask {

inline int64_t block_count(int64_t length, int64_t block_size) {
  return length / block_size + (length % block_size != 0 ? 1 : 0);
}

/// Lists of runs, one a line (a block row or a block column), in compressed form. The runs of a line may
/// stand in any order and touch; lists that create_block_mask made are ascending and merged.
struct RunLists {
  std::vector<uint32_t> offsets;  // lines + 1
  std::vector<BlockRun> runs;

  std::span<const BlockRun> line(int64_t i) const {
    const auto at = static_cast<std::size_t>(i);
    return std::span(runs).subspan(offsets[at], offsets[at + 1] - offsets[at]);
  }
  int64_t blocks() const;
  int64_t memory_bytes() const;
};

/// The blocks of one (b, h).
struct Plane {
  RunLists full, partial;                      // by row
  RunLists full_in_column, partial_in_column;  // by column
  int64_t memory_bytes() const;
};

/// How the lists and the mask_mod belong together.
enum class Listing : uint8_t {
  exact,   // as create_block_mask classifies
  coarse,  // no block is wrong, but a partial one may be all true or all false
  own,  // the lists decide: full blocks are allowed and unlisted ones are not, whatever the mod says
};

/// The mask_mod with q + p in place of q, made when it is first asked for. Another offset is another
/// value of p and no other structure.
struct ShiftedMod {
  std::once_flag once;
  Program program;
  int32_t offset_slot = -1;  // the parameter p; -1: the mod does not read q
};

}  // namespace mask

struct BlockMask::Data {
  Program mask_mod;  // empty: dropped by index()
  int64_t q_len = 0, kv_len = 0;
  int64_t batch = 1, heads = 1;  // stored
  BlockSize block_size;
  int64_t rows = 0, columns = 0;
  std::vector<std::shared_ptr<const mask::Plane>> planes;  // [batch][heads]; slices share them
  bool exchanged = false;  // the planes' rows are this mask's columns
  mask::Listing listing = mask::Listing::exact;
  BlockCounts counts;
  BlockMaskStats stats;
  std::vector<std::shared_ptr<const void>> owned;  // captured tensors that belong to the mask
  std::shared_ptr<mask::ShiftedMod> shifted = std::make_shared<mask::ShiftedMod>();

  const mask::RunLists& full(const mask::Plane& plane) const {
    return exchanged ? plane.full_in_column : plane.full;
  }
  const mask::RunLists& partial(const mask::Plane& plane) const {
    return exchanged ? plane.partial_in_column : plane.partial;
  }
  const mask::RunLists& full_in_column(const mask::Plane& plane) const {
    return exchanged ? plane.full : plane.full_in_column;
  }
  const mask::RunLists& partial_in_column(const mask::Plane& plane) const {
    return exchanged ? plane.partial : plane.partial_in_column;
  }
  const mask::Plane& plane(int64_t b, int64_t h) const {
    return *planes[static_cast<std::size_t>(b * heads + h)];
  }

  void set_mask_mod(Program mod);
  void set_lengths(int64_t new_q_len, int64_t new_kv_len);  // rows and columns with them
  void count_blocks();
};

namespace mask {

/// What a mask holds; InvalidArgument, prefixed `[where]`, for a default-constructed one.
const BlockMask::Data& data_of(const BlockMask& mask, const char* where = "BlockMask");

/// A copy to change: shares the planes and has no statistics of building.
std::shared_ptr<BlockMask::Data> copy_of(const BlockMask::Data& data);

/// Lengths and block sizes, so that a length rounded up to blocks fits 64 bits.
inline constexpr int64_t kMostLength = int64_t{1} << 60;

/// InvalidArgument, prefixed `[where]`, if an axis ("q" or "kv") is beyond kMostLength, or its blocks
/// do not fit 32 bits.
void check_blocks(const char* where, const char* axis, int64_t length, int64_t block_size);

/// The product of numbers that are not negative, or INT64_MAX if that is smaller.
int64_t product(std::initializer_list<int64_t> factors);

}  // namespace mask

}  // namespace fovea
