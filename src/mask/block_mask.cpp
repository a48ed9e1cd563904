// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <unordered_set>
#include <utility>

#include <fovea/block_mask.h>
#include "core/fail.h"
#include "mask/block_mask_data.h"

namespace fovea {

namespace mask {

int64_t RunLists::blocks() const {
  int64_t count = 0;
  for (const BlockRun& run : runs) count += run.end - run.begin;
  return count;
}

int64_t RunLists::memory_bytes() const {
  return static_cast<int64_t>(offsets.capacity() * sizeof(uint32_t) +
                              runs.capacity() * sizeof(BlockRun));
}

int64_t Plane::memory_bytes() const {
  return full.memory_bytes() + partial.memory_bytes() + full_in_column.memory_bytes() +
         partial_in_column.memory_bytes();
}

const BlockMask::Data& data_of(const BlockMask& mask, const char* where) {
  if (!mask) {
    core::fail_argument(where, "mask must not be empty",
                        "one made by create_block_mask or BlockMask::from_kv_blocks",
                        "a default-constructed one");
  }
  return *mask.shared_data();
}

std::shared_ptr<BlockMask::Data> copy_of(const BlockMask::Data& data) {
  auto copy = std::make_shared<BlockMask::Data>(data);
  copy->stats = {};
  return copy;
}

void check_blocks(const char* where, const char* axis, int64_t length, int64_t block_size) {
  const auto check_size = [&](const char* rule, int64_t size) {
    core::require(size <= kMostLength, where, std::string(axis) + rule,
                  "at most " + std::to_string(kMostLength), size);
  };
  check_size("_len must fit", length);
  check_size(" block size must fit", block_size);
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const int64_t blocks = block_count(length, block_size);
  if (blocks <= kMost) return;
  core::fail_argument(where, std::string("blocks along ") + axis + " must fit 32 bits",
                      "at most " + std::to_string(kMost), std::to_string(blocks));
}

int64_t product(std::initializer_list<int64_t> factors) {
  int64_t result = 1;
  for (const int64_t factor : factors) {
    if (factor == 0) return 0;
  }
  for (const int64_t factor : factors) {
    if (__builtin_mul_overflow(result, factor, &result)) return INT64_MAX;
  }
  return result;
}

}  // namespace mask

void BlockMask::Data::set_mask_mod(Program mod) {
  mask_mod = std::move(mod);
  shifted = std::make_shared<mask::ShiftedMod>();
}

void BlockMask::Data::set_lengths(int64_t new_q_len, int64_t new_kv_len) {
  q_len = new_q_len;
  kv_len = new_kv_len;
  rows = mask::block_count(q_len, block_size.q);
  columns = mask::block_count(kv_len, block_size.kv);
}

void BlockMask::Data::count_blocks() {
  counts = {};
  for (const auto& plane : planes) {
    counts.full += plane->full.blocks();
    counts.partial += plane->partial.blocks();
  }
  const int64_t all = mask::product({rows, columns, static_cast<int64_t>(planes.size())});
  counts.skipped = all - counts.full - counts.partial;
}

namespace {

constexpr const char* kWhere = "BlockMask";

void check_index(const char* name, int64_t size, int64_t index) {
  if (index >= 0 && index < size) return;
  core::fail_argument(kWhere, std::string(name) + " index must be inside the mask",
                      std::string("0 <= ") + name + " < " + std::to_string(size),
                      std::to_string(index));
}

// A plane that is stored once serves every batch entry or head.
const mask::Plane& plane_of(const BlockMask::Data& data, int64_t b, int64_t h) {
  const bool one_batch = data.batch == 1 && b >= 0;
  const bool one_head = data.heads == 1 && h >= 0;
  if (!one_batch) check_index("b", data.batch, b);
  if (!one_head) check_index("h", data.heads, h);
  return data.plane(one_batch ? 0 : b, one_head ? 0 : h);
}

}  // namespace

int64_t BlockMask::q_len() const { return mask::data_of(*this).q_len; }
int64_t BlockMask::kv_len() const { return mask::data_of(*this).kv_len; }
int64_t BlockMask::batch() const { return mask::data_of(*this).batch; }
int64_t BlockMask::heads() const { return mask::data_of(*this).heads; }
BlockSize BlockMask::block_size() const { return mask::data_of(*this).block_size; }
int64_t BlockMask::rows() const { return mask::data_of(*this).rows; }
int64_t BlockMask::columns() const { return mask::data_of(*this).columns; }
const Program& BlockMask::mask_mod() const { return mask::data_of(*this).mask_mod; }
BlockCounts BlockMask::counts() const { return mask::data_of(*this).counts; }
const BlockMaskStats& BlockMask::stats() const { return mask::data_of(*this).stats; }

bool BlockMask::lists_decide() const { return mask::data_of(*this).listing == mask::Listing::own; }

std::array<int64_t, 4> BlockMask::shape() const {
  const Data& data = mask::data_of(*this);
  return {data.batch, data.heads, data.q_len, data.kv_len};
}

int64_t BlockMask::numel() const {
  const auto [batch, heads, q_len, kv_len] = shape();
  const int64_t count = mask::product({batch, heads, q_len, kv_len});
  core::require(count < INT64_MAX, kWhere, "number of elements must fit 64 bits",
                "less than 2^63 - 1", "more");
  return count;
}

std::span<const BlockRun> BlockMask::full(int64_t b, int64_t h, int64_t row) const {
  const Data& data = mask::data_of(*this);
  check_index("row", data.rows, row);
  return data.full(plane_of(data, b, h)).line(row);
}

std::span<const BlockRun> BlockMask::partial(int64_t b, int64_t h, int64_t row) const {
  const Data& data = mask::data_of(*this);
  check_index("row", data.rows, row);
  return data.partial(plane_of(data, b, h)).line(row);
}

std::span<const BlockRun> BlockMask::full_in_column(int64_t b, int64_t h, int64_t column) const {
  const Data& data = mask::data_of(*this);
  check_index("column", data.columns, column);
  return data.full_in_column(plane_of(data, b, h)).line(column);
}

std::span<const BlockRun> BlockMask::partial_in_column(int64_t b, int64_t h, int64_t column) const {
  const Data& data = mask::data_of(*this);
  check_index("column", data.columns, column);
  return data.partial_in_column(plane_of(data, b, h)).line(column);
}

double BlockMask::sparsity() const {
  const BlockCounts counts = mask::data_of(*this).counts;
  if (counts.total() == 0) return 0;
  return 100 * static_cast<double>(counts.skipped) / static_cast<double>(counts.total());
}

int64_t BlockMask::memory_bytes() const {
  const Data& data = mask::data_of(*this);
  int64_t bytes =
      static_cast<int64_t>(sizeof(Data) + data.planes.capacity() * sizeof(data.planes[0]));
  std::unordered_set<const mask::Plane*> counted;
  for (const auto& plane : data.planes) {
    if (!counted.insert(plane.get()).second) continue;
    bytes += static_cast<int64_t>(sizeof(mask::Plane)) + plane->memory_bytes();
  }
  return bytes;
}

}  // namespace fovea
