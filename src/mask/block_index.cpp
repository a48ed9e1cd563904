// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include <fovea/block_mask.h>
#include "core/fail.h"
#include "mask/block_mask_data.h"
#include "mask/line_lists.h"

namespace fovea {
namespace {

constexpr const char* kWhere = "BlockMask::index";

mask::RunLists select_lines(const mask::RunLists& lists, std::span<const int64_t> lines) {
  mask::LineWriter writer(static_cast<int64_t>(lines.size()), kWhere);
  for (const int64_t line : lines) {
    writer.add(lists.line(line));
    writer.end_line();
  }
  return writer.finish();
}

bool is_all(std::span<const int64_t> indices, int64_t size) {
  if (static_cast<int64_t>(indices.size()) != size) return false;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// Where the last chosen block ends: only the mask's last block may be short.
int64_t chosen_length(std::span<const int64_t> rows, const BlockMask::Data& data) {
  if (rows.empty()) return 0;
  const int64_t last = rows.back() * data.block_size.q;
  const auto before = static_cast<int64_t>(rows.size()) - 1;
  const int64_t length = mask::product({before, data.block_size.q});
  mask::check_blocks(kWhere, "q", length, data.block_size.q);
  return length + std::min(data.block_size.q, data.q_len - last);
}

}  // namespace

BlockIndex BlockIndex::slice(std::optional<int64_t> begin, std::optional<int64_t> end,
                             int64_t step) {
  core::require(step >= 1, "BlockIndex::slice", "step must be positive", "at least 1", step);
  BlockIndex index;
  index.kind_ = Kind::slice;
  index.begin_ = begin;
  index.end_ = end;
  index.step_ = step;
  return index;
}

BlockIndex BlockIndex::list(std::vector<int64_t> indices) {
  BlockIndex index;
  index.kind_ = Kind::list;
  index.list_ = std::move(indices);
  return index;
}

std::vector<int64_t> BlockIndex::resolve(int64_t size, const char* where, const char* axis) const {
  std::vector<int64_t> indices;
  if (kind_ == Kind::list) {
    for (const int64_t i : list_) {
      if (i < -size || i >= size) {
        core::fail_argument(where, std::string(axis) + " index must be inside the mask",
                            std::to_string(-size) + " to " + std::to_string(size - 1),
                            std::to_string(i));
      }
      indices.push_back(i < 0 ? i + size : i);
    }
    return indices;
  }
  const auto end_of = [size](std::optional<int64_t> end, int64_t otherwise) {
    if (!end) return otherwise;
    return std::clamp<int64_t>(*end < 0 ? *end + size : *end, 0, size);
  };
  const int64_t end = end_of(end_, size);
  for (int64_t i = end_of(begin_, 0); i < end;) {
    indices.push_back(i);
    if (step_ >= end - i) break;
    i += step_;
  }
  return indices;
}

BlockMask BlockMask::index(const BlockIndex& batch, const BlockIndex& heads,
                           const BlockIndex& rows) const {
  const Data& data = mask::data_of(*this, kWhere);
  const auto chosen_batch = batch.resolve(data.batch, kWhere, "batch");
  const auto chosen_heads = heads.resolve(data.heads, kWhere, "head");
  const auto chosen_rows = rows.resolve(data.rows, kWhere, "row");

  auto result = mask::copy_of(data);
  result->set_mask_mod({});
  result->owned.clear();
  result->listing = mask::Listing::own;
  result->batch = static_cast<int64_t>(chosen_batch.size());
  result->heads = static_cast<int64_t>(chosen_heads.size());
  result->planes.clear();
  const bool whole = is_all(chosen_rows, data.rows);
  if (!whole) {
    result->exchanged = false;
    result->set_lengths(chosen_length(chosen_rows, data), data.kv_len);
  }
  std::map<const mask::Plane*, std::shared_ptr<const mask::Plane>> cut;  // what stood once stays so
  for (const int64_t b : chosen_batch) {
    for (const int64_t h : chosen_heads) {
      const auto& plane = data.planes[static_cast<std::size_t>(b * data.heads + h)];
      auto& part = cut[plane.get()];
      if (!part) {
        part = whole ? plane
                     : mask::make_plane(select_lines(data.full(*plane), chosen_rows),
                                        select_lines(data.partial(*plane), chosen_rows),
                                        data.columns, kWhere);
      }
      result->planes.push_back(part);
    }
  }
  result->count_blocks();
  return BlockMask(std::move(result));
}

}  // namespace fovea
