// SPDX-License-Identifier: Apache-2.0
#include "attention/causal_sequences.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "mask/block_mask_data.h"
#include "mask/line_lists.h"

namespace fovea::attention {
namespace {

constexpr const char* kWhere = "causal";

// The blocks of one sequence, row by row.
std::shared_ptr<const mask::Plane> plane_of(const Sequence& s, const BlockMask::Data& data) {
  const BlockSize size = data.block_size;
  mask::LineWriter full(data.rows, kWhere), partial(data.rows, kWhere);
  for (int64_t row = 0; row < data.rows; ++row) {
    const int64_t first = row * size.q, last = std::min(first + size.q, s.q_len) - 1;
    if (first <= last) {
      // Keys that the row's first query sees, and its last.
      const auto seen = [&](int64_t q) { return std::max<int64_t>(0, q + s.kv_len - s.q_len + 1); };
      const auto whole = static_cast<int32_t>(seen(first) / size.kv);
      const auto any = static_cast<int32_t>(mask::block_count(seen(last), size.kv));
      if (whole > 0) full.add(0, whole);
      if (any > whole) partial.add(whole, any);
    }
    full.end_line();
    partial.end_line();
  }
  return mask::make_plane(full.finish(), partial.finish(), data.columns, kWhere);
}

}  // namespace

std::vector<int64_t> causal_offsets(const Problem& problem) {
  std::vector<int64_t> offsets;
  for (const Sequence& s : problem.sequences) offsets.push_back(s.kv_len - s.q_len);
  return offsets;
}

BlockMask causal_of_sequences(const Problem& problem, int64_t q_len, int64_t kv_len,
                              BlockSize size) {
  auto data = std::make_shared<BlockMask::Data>();
  data->batch = problem.batch;
  data->block_size = size;
  mask::check_blocks(problem.where, "q", q_len, size.q);
  mask::check_blocks(problem.where, "kv", kv_len, size.kv);
  data->set_lengths(q_len, kv_len);
  std::map<std::pair<int64_t, int64_t>, std::shared_ptr<const mask::Plane>> planes;
  for (const Sequence& s : problem.sequences) {
    auto& plane = planes[{s.q_len, s.kv_len}];
    if (!plane) plane = plane_of(s, *data);
    data->planes.push_back(plane);
  }
  data->count_blocks();
  const auto offsets = std::make_shared<const std::vector<int64_t>>(causal_offsets(problem));
  const Capture offset = capture(view(offsets->data(), {problem.batch}));
  data->set_mask_mod(mask_mod([&](auto b, auto, auto q, auto kv) { return q + offset[b] >= kv; }));
  data->owned.push_back(offsets);
  return BlockMask(std::move(data));
}

}  // namespace fovea::attention
