// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fovea/block_mask.h>
#include "core/fail.h"
#include "mask/block_mask_data.h"
#include "mask/line_lists.h"
#include "mask/mask_mods.h"
#include "program/interpret.h"

namespace fovea {
namespace {

constexpr const char* kWhere = "BlockMask::from_kv_blocks";

// What the four tensors agree on.
struct Sizes {
  int64_t batch = 1, heads = 1, rows = 0;
};

// One pair of tensors: how many blocks a row lists, and which.
class IndexTensors {
 public:
  IndexTensors(const char* prefix, const TensorView& counts, const TensorView& indices)
      : counts_name_(std::string(prefix) + "kv_num_blocks"),
        indices_name_(std::string(prefix) + "kv_indices"),
        counts_(counts),
        indices_(indices) {
    check_tensor(indices_name_, indices);
    check_tensor(counts_name_, counts);
    if (indices.rank() < 2 || indices.rank() > 4) {
      core::fail_argument(
          kWhere, indices_name_ + " must have 2 to 4 dimensions (batch, heads, rows, capacity)",
          "2 to 4", std::to_string(indices.rank()));
    }
    Dims expected(std::span(indices.sizes.begin(), indices.sizes.end() - 1));
    if (counts.sizes != expected) {
      core::fail_argument(
          kWhere, counts_name_ + " must have the shape of " + indices_name_ + " but the last size",
          to_string(expected), to_string(counts.sizes));
    }
  }

  const std::string& name() const { return indices_name_; }
  const Dims& count_sizes() const { return counts_.sizes; }
  int64_t capacity() const { return indices_.size(indices_.rank() - 1); }
  Sizes sizes() const {
    const int rank = counts_.rank();
    return {.batch = rank > 2 ? counts_.size(0) : 1,
            .heads = rank > 1 ? counts_.size(rank - 2) : 1,
            .rows = counts_.size(rank - 1)};
  }

  // The row's blocks, in their order.
  void read_row(int64_t b, int64_t h, int64_t row, int64_t columns,
                mask::LineWriter& writer) const {
    int64_t at[4] = {b, h, row, 0};
    const std::size_t rank = static_cast<std::size_t>(counts_.rank());
    const std::span place(std::data(at) + (3 - rank), rank);
    const int64_t count = program::read_element(counts_, place).i;
    if (count < 0 || count > capacity()) {
      fail(counts_name_, place, "must fit the last size of " + indices_name_, capacity() + 1,
           count);
    }
    const std::span entry(std::data(at) + (3 - rank), rank + 1);
    for (at[3] = 0; at[3] < count; ++at[3]) {
      const int64_t column = program::read_element(indices_, entry).i;
      if (column < 0 || column >= columns) {
        fail(indices_name_, entry, "must be a block column", columns, column);
      }
      writer.add(static_cast<int32_t>(column), static_cast<int32_t>(column) + 1);
    }
  }

 private:
  static void check_tensor(const std::string& name, const TensorView& tensor) {
    if (!is_integral(tensor.dtype)) {
      core::fail_argument(kWhere, name + " must hold integers", "i64, i32, i16, i8 or u8",
                          name_of(tensor.dtype));
    }
    if (tensor.device.type != DeviceType::cpu) {
      core::fail_argument(kWhere, name + " must be on the cpu", "cpu", "cuda");
    }
    for (const int64_t size : tensor.sizes) {
      if (size < 0) {
        core::fail_argument(kWhere, name + " sizes must not be negative", "at least 0",
                            std::to_string(size));
      }
    }
    if (tensor.data == nullptr && tensor.numel() > 0) {
      core::fail_argument(kWhere, name + " must have memory", "a pointer", "null");
    }
  }

  [[noreturn]] static void fail(const std::string& name, std::span<const int64_t> place,
                                const std::string& rule, int64_t end, int64_t got) {
    core::fail_argument(kWhere, name + to_string(Dims(place)) + " " + rule,
                        end > 0 ? "0 to " + std::to_string(end - 1) : "none", std::to_string(got));
  }

  std::string counts_name_, indices_name_;
  const TensorView& counts_;
  const TensorView& indices_;
};

// A block stands once in a row, in one of the two lists.
class OnceChecker {
 public:
  void check(std::span<const BlockRun> full, std::span<const BlockRun> partial,
             std::span<const int64_t> place, int32_t columns) {
    check_list(partial, ends_[0], "kv_indices", place);
    check_list(full, ends_[1], "full_kv_indices", place);
    if (ends_[0].empty() || ends_[1].empty()) return;
    mask::sweep<2>(ends_, columns, [&](int32_t begin, int32_t, unsigned flags) {
      if (flags != 3) return;
      core::fail_argument(kWhere,
                          "a block must be full or partial: block " + std::to_string(begin) +
                              " of row " + to_string(Dims(place)),
                          "in one list", "in both");
    });
  }

 private:
  static void check_list(std::span<const BlockRun> runs, std::vector<int32_t>& ends,
                         const char* name, std::span<const int64_t> place) {
    const int32_t twice = mask::ends_of(runs, ends);
    if (twice < 0) return;
    core::fail_argument(kWhere,
                        std::string(name) + " must list a block once: block " +
                            std::to_string(twice) + " of row " + to_string(Dims(place)),
                        "once", "twice");
  }

  std::array<std::vector<int32_t>, 2> ends_;
};

void check_length(const char* name, int64_t length) {
  core::require(length >= 0, kWhere, std::string(name) + " must not be negative", "at least 0",
                length);
}

int64_t length_of(const char* name, const std::optional<int64_t>& given, int64_t blocks,
                  int64_t block_size) {
  const int64_t length = given ? *given : mask::product({blocks, block_size});
  check_length(name, length);
  return length;
}

std::shared_ptr<const mask::Plane> read_plane(const IndexTensors& partial,
                                              const std::optional<IndexTensors>& full, int64_t b,
                                              int64_t h, const BlockMask::Data& data) {
  mask::LineWriter partial_lines(data.rows, kWhere);
  mask::LineWriter full_lines(data.rows, kWhere);
  for (int64_t row = 0; row < data.rows; ++row) {
    partial.read_row(b, h, row, data.columns, partial_lines);
    if (full) full->read_row(b, h, row, data.columns, full_lines);
    partial_lines.end_line();
    full_lines.end_line();
  }
  mask::RunLists partial_lists = partial_lines.finish();
  mask::RunLists full_lists = full_lines.finish();
  OnceChecker once;
  for (int64_t row = 0; row < data.rows; ++row) {
    const int64_t place[] = {b, h, row};
    once.check(full_lists.line(row), partial_lists.line(row), place,
               static_cast<int32_t>(data.columns));
  }
  return mask::make_plane(std::move(full_lists), std::move(partial_lists), data.columns, kWhere);
}

void check_full_pair(const KvBlocks& blocks, const IndexTensors& partial,
                     const std::optional<IndexTensors>& full) {
  const bool counts = static_cast<bool>(blocks.full_kv_num_blocks);
  const bool indices = static_cast<bool>(blocks.full_kv_indices);
  core::require(counts == indices, kWhere,
                "full_kv_num_blocks and full_kv_indices must come together", "both or none",
                counts ? "full_kv_num_blocks alone" : "full_kv_indices alone");
  if (full && full->count_sizes() != partial.count_sizes()) {
    core::fail_argument(kWhere, "full_kv_num_blocks must have the shape of kv_num_blocks",
                        to_string(partial.count_sizes()), to_string(full->count_sizes()));
  }
}

}  // namespace

BlockMask BlockMask::from_kv_blocks(const KvBlocks& blocks, const KvBlocksOptions& options) {
  const IndexTensors partial("", blocks.kv_num_blocks, blocks.kv_indices);
  std::optional<IndexTensors> full;
  if (blocks.full_kv_num_blocks && blocks.full_kv_indices) {
    full.emplace("full_", blocks.full_kv_num_blocks, blocks.full_kv_indices);
  }
  check_full_pair(blocks, partial, full);
  const BlockSize size = options.block_size;
  core::require(size.q >= 1, kWhere, "block_size.q must be positive", "at least 1", size.q);
  core::require(size.kv >= 1, kWhere, "block_size.kv must be positive", "at least 1", size.kv);
  core::require(!options.mask_mod || options.mask_mod.kind() == ModKind::mask, kWhere,
                "mask_mod must be a mask program", "(b, h, q, kv) -> bool", "a score_mod");

  const Sizes sizes = partial.sizes();
  const int64_t q_len = length_of("q_len", options.q_len, sizes.rows, size.q);
  const int64_t kv_len = length_of("kv_len", options.kv_len, partial.capacity(), size.kv);
  mask::check_blocks(kWhere, "q", q_len, size.q);
  mask::check_blocks(kWhere, "kv", kv_len, size.kv);

  auto data = std::make_shared<Data>();
  data->set_mask_mod(options.mask_mod ? options.mask_mod : mask::allow_all());
  data->batch = sizes.batch;
  data->heads = sizes.heads;
  data->block_size = size;
  data->listing = mask::Listing::own;
  data->set_lengths(q_len, kv_len);
  core::require(sizes.rows == data->rows, kWhere,
                "rows of kv_num_blocks must be the blocks of q_len", data->rows, sizes.rows);
  for (int64_t b = 0; b < data->batch; ++b) {
    for (int64_t h = 0; h < data->heads; ++h) {
      data->planes.push_back(read_plane(partial, full, b, h, *data));
    }
  }
  data->count_blocks();
  return BlockMask(std::move(data));
}

}  // namespace fovea
