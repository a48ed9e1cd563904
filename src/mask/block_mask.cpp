// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <fovea/block_mask.h>
#include <fovea/error.h>
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

}  // namespace mask

namespace {

const BlockMask::Data& checked(const std::shared_ptr<const BlockMask::Data>& data) {
  if (!data) {
    throw InvalidArgument(
        "[BlockMask] mask must not be empty: expected one made by create_block_mask, "
        "got a default-constructed one");
  }
  return *data;
}

[[noreturn]] void fail_index(const char* name, int64_t size, int64_t got) {
  throw InvalidArgument(std::string("[BlockMask] ") + name +
                        " index must be inside the mask: expected 0 <= " + name + " < " +
                        std::to_string(size) + ", got " + std::to_string(got));
}

void check_index(const char* name, int64_t size, int64_t index) {
  if (index < 0 || index >= size) fail_index(name, size, index);
}

// A plane that is stored once serves every batch entry or head.
const mask::Plane& plane_of(const BlockMask::Data& data, int64_t b, int64_t h) {
  const int64_t batch = data.batch == 1 ? 0 : b;
  const int64_t head = data.heads == 1 ? 0 : h;
  if (b < 0) fail_index("b", data.batch, b);
  if (h < 0) fail_index("h", data.heads, h);
  check_index("b", data.batch, batch);
  check_index("h", data.heads, head);
  return *data.planes[static_cast<std::size_t>(batch * data.heads + head)];
}

}  // namespace

int64_t BlockMask::q_len() const { return checked(data_).q_len; }
int64_t BlockMask::kv_len() const { return checked(data_).kv_len; }
int64_t BlockMask::batch() const { return checked(data_).batch; }
int64_t BlockMask::heads() const { return checked(data_).heads; }
BlockSize BlockMask::block_size() const { return checked(data_).block_size; }
int64_t BlockMask::rows() const { return checked(data_).rows; }
int64_t BlockMask::columns() const { return checked(data_).columns; }
const Program& BlockMask::mask_mod() const { return checked(data_).mask_mod; }
BlockCounts BlockMask::counts() const { return checked(data_).counts; }
const BlockMaskStats& BlockMask::stats() const { return checked(data_).stats; }

std::span<const BlockRun> BlockMask::full(int64_t b, int64_t h, int64_t row) const {
  const Data& data = checked(data_);
  check_index("row", data.rows, row);
  return plane_of(data, b, h).full.line(row);
}

std::span<const BlockRun> BlockMask::partial(int64_t b, int64_t h, int64_t row) const {
  const Data& data = checked(data_);
  check_index("row", data.rows, row);
  return plane_of(data, b, h).partial.line(row);
}

std::span<const BlockRun> BlockMask::full_in_column(int64_t b, int64_t h, int64_t column) const {
  const Data& data = checked(data_);
  check_index("column", data.columns, column);
  return plane_of(data, b, h).full_in_column.line(column);
}

std::span<const BlockRun> BlockMask::partial_in_column(int64_t b, int64_t h, int64_t column) const {
  const Data& data = checked(data_);
  check_index("column", data.columns, column);
  return plane_of(data, b, h).partial_in_column.line(column);
}

double BlockMask::sparsity() const {
  const BlockCounts counts = checked(data_).counts;
  if (counts.total() == 0) return 0;
  return 100 * static_cast<double>(counts.skipped) / static_cast<double>(counts.total());
}

int64_t BlockMask::memory_bytes() const {
  const Data& data = checked(data_);
  int64_t bytes =
      static_cast<int64_t>(sizeof(Data) + data.planes.capacity() * sizeof(data.planes[0]));
  for (const auto& plane : data.planes) {
    bytes += static_cast<int64_t>(sizeof(mask::Plane)) + plane->memory_bytes();
  }
  return bytes;
}

}  // namespace fovea
