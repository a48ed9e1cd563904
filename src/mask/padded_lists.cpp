// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <fovea/block_mask.h>
#include "core/fail.h"
#include "mask/block_mask_data.h"

namespace fovea {
namespace {

void check_bytes(const char* where, const BlockMask::Data& data, int64_t bytes, int64_t max_bytes) {
  if (bytes <= max_bytes) return;
  core::fail_argument(where,
                      std::to_string(data.batch) + " x " + std::to_string(data.heads) +
                          " planes of " + std::to_string(data.rows) + " x " +
                          std::to_string(data.columns) + " blocks must fit max_bytes",
                      "at most " + std::to_string(max_bytes) + " bytes", std::to_string(bytes));
}

struct PaddedTensors {
  std::vector<int32_t>& counts;
  std::vector<int32_t>& indices;
};

// Appends the lines of a plane. `length`: blocks of a line.
void append(const mask::RunLists& lists, int64_t length, PaddedTensors out) {
  std::vector<uint8_t> listed(static_cast<std::size_t>(length));
  const auto lines = static_cast<int64_t>(lists.offsets.size()) - 1;
  for (int64_t line = 0; line < lines; ++line) {
    int32_t count = 0;
    for (const BlockRun& run : lists.line(line)) {
      for (int32_t i = run.begin; i < run.end; ++i) {
        out.indices.push_back(i);
        listed[static_cast<std::size_t>(i)] = 1;
      }
      count += run.end - run.begin;
    }
    out.counts.push_back(count);
    for (int32_t i = 0; i < length; ++i) {
      uint8_t& is_listed = listed[static_cast<std::size_t>(i)];
      if (is_listed == 0) out.indices.push_back(i);
      is_listed = 0;
    }
  }
}

}  // namespace

PaddedLists BlockMask::padded_lists(int64_t max_bytes) const {
  constexpr const char* kWhere = "BlockMask::padded_lists";
  const Data& data = mask::data_of(*this, kWhere);
  const int64_t planes = data.batch * data.heads;
  const int64_t entry = sizeof(int32_t);
  // Full and partial, by row and by column.
  const int64_t grids = mask::product({planes, data.rows, data.columns, 4, entry});
  const int64_t counts = mask::product({planes, data.rows + data.columns, 2, entry});
  int64_t bytes = 0;
  if (__builtin_add_overflow(grids, counts, &bytes)) bytes = INT64_MAX;
  check_bytes(kWhere, data, bytes, max_bytes);

  PaddedLists out;
  out.batch = data.batch;
  out.heads = data.heads;
  out.rows = data.rows;
  out.columns = data.columns;
  const auto grid = static_cast<std::size_t>(planes * data.rows * data.columns);
  for (auto* indices :
       {&out.kv_indices, &out.full_kv_indices, &out.q_indices, &out.full_q_indices}) {
    indices->reserve(grid);
  }
  for (const auto& plane : data.planes) {
    append(data.partial(*plane), data.columns, {out.kv_num_blocks, out.kv_indices});
    append(data.full(*plane), data.columns, {out.full_kv_num_blocks, out.full_kv_indices});
    append(data.partial_in_column(*plane), data.rows, {out.q_num_blocks, out.q_indices});
    append(data.full_in_column(*plane), data.rows, {out.full_q_num_blocks, out.full_q_indices});
  }
  return out;
}

std::vector<uint8_t> BlockMask::to_dense(int64_t max_bytes) const {
  constexpr const char* kWhere = "BlockMask::to_dense";
  const Data& data = mask::data_of(*this, kWhere);
  const int64_t bytes = mask::product({data.batch, data.heads, data.rows, data.columns});
  check_bytes(kWhere, data, bytes, max_bytes);
  std::vector<uint8_t> dense(static_cast<std::size_t>(bytes));
  uint8_t* line = dense.data();
  for (const auto& plane : data.planes) {
    for (int64_t row = 0; row < data.rows; ++row, line += data.columns) {
      for (const auto* lists : {&data.full(*plane), &data.partial(*plane)}) {
        for (const BlockRun& run : lists->line(row)) {
          std::fill(line + run.begin, line + run.end, uint8_t{1});
        }
      }
    }
  }
  return dense;
}

}  // namespace fovea
