// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include <fovea/block_mask.h>
#include "core/fail.h"
#include "mask/block_mask_data.h"
#include "mask/line_lists.h"
#include "mask/mask_mods.h"

namespace fovea {
namespace {

using mask::LineWriter;
using mask::Listing;
using mask::Plane;
using PlanePointer = std::shared_ptr<const Plane>;

// Makes each plane anew; one that is shared is made once.
template <class F>
void replace_planes(BlockMask::Data& data, F&& make) {
  std::map<const Plane*, PlanePointer> made;
  for (PlanePointer& plane : data.planes) {
    PlanePointer& replacement = made[plane.get()];
    if (!replacement) replacement = make(*plane);
    plane = replacement;
  }
  data.exchanged = false;
}

mask::RunLists cut_corner(const mask::RunLists& lists, int64_t rows, int64_t columns,
                          const char* where) {
  LineWriter writer(rows, where);
  const auto end = static_cast<int32_t>(columns);
  for (int64_t row = 0; row < rows; ++row) {
    for (const BlockRun& run : lists.line(row)) writer.add(run.begin, std::min(run.end, end));
    writer.end_line();
  }
  return writer.finish();
}

void check_length(const char* where, const char* name, int64_t most, int64_t got) {
  core::require(got >= 0 && got <= most, where, std::string(name) + " must not grow",
                "0 to " + std::to_string(most), got);
}

// Rows that begin inside a block: each is made of two of the mask's.
class RowCutter {
 public:
  RowCutter(const BlockMask::Data& data, int64_t position, int64_t count, const char* where)
      : data_(data), position_(position), count_(count), where_(where) {}

  int64_t rows() const { return mask::block_count(count_, data_.block_size.q); }

  // The mask's rows under row i: the first and the last.
  std::pair<int64_t, int64_t> rows_under(int64_t i) const {
    const int64_t size = data_.block_size.q;
    const int64_t first = position_ + i * size;
    const int64_t last = std::min(first + size, position_ + count_) - 1;
    return {first / size, last / size};
  }
  bool is_aligned() const {
    for (int64_t i = 0; i < rows(); ++i) {
      const auto [first, last] = rows_under(i);
      if (first != last) return false;
    }
    return true;
  }

  PlanePointer cut(const Plane& plane) const {
    LineWriter full(rows(), where_), partial(rows(), where_);
    for (int64_t i = 0; i < rows(); ++i) {
      const auto [first, last] = rows_under(i);
      if (first == last) {
        full.add(data_.full(plane).line(first));
        partial.add(data_.partial(plane).line(first));
      } else {
        join(plane, first, last, full, partial);
      }
      full.end_line();
      partial.end_line();
    }
    return mask::make_plane(full.finish(), partial.finish(), data_.columns, where_);
  }

 private:
  // Full where both are, partial where only a part is known to be.
  void join(const Plane& plane, int64_t first, int64_t last, LineWriter& full,
            LineWriter& partial) const {
    std::array<std::vector<int32_t>, 4> ends;
    mask::ends_of(data_.full(plane).line(first), ends[0]);
    mask::ends_of(data_.full(plane).line(last), ends[1]);
    mask::ends_of(data_.partial(plane).line(first), ends[2]);
    mask::ends_of(data_.partial(plane).line(last), ends[3]);
    const auto columns = static_cast<int32_t>(data_.columns);
    mask::sweep<4>(ends, columns, [&](int32_t begin, int32_t end, unsigned flags) {
      if (flags == 0) return;
      (flags == 3 ? full : partial).add(begin, end);
    });
  }

  const BlockMask::Data& data_;
  int64_t position_, count_;
  const char* where_;
};

}  // namespace

BlockMask BlockMask::with_mask_mod(const Program& mask_mod) const {
  constexpr const char* kWhere = "BlockMask::with_mask_mod";
  auto data = mask::copy_of(mask::data_of(*this, kWhere));
  core::require(!mask_mod || mask_mod.kind() == ModKind::mask, kWhere,
                "mask_mod must be a mask program", "(b, h, q, kv) -> bool", "a score_mod");
  data->set_mask_mod(mask_mod ? mask_mod : mask::allow_all());
  data->listing = Listing::own;
  return BlockMask(std::move(data));
}

BlockMask BlockMask::decode_slice(int64_t position, int64_t count) const {
  constexpr const char* kWhere = "BlockMask::decode_slice";
  const Data& old = mask::data_of(*this, kWhere);
  core::require(position >= 0 && position <= old.q_len, kWhere, "position must be inside the mask",
                "0 to " + std::to_string(old.q_len), position);
  const int64_t left = old.q_len - position;
  core::require(count >= 0 && count <= left, kWhere, "rows must be inside the mask",
                "0 to " + std::to_string(left), count);
  const RowCutter cutter(old, position, count, kWhere);
  const bool is_aligned = cutter.is_aligned();
  core::require(
      is_aligned || old.listing != Listing::own, kWhere,
      "a mask whose lists decide must be cut at its blocks",
      "rows of one block, or a position that is a multiple of " + std::to_string(old.block_size.q),
      position);
  auto data = mask::copy_of(old);
  if (data->mask_mod) data->mask_mod = mask::shift_queries(old.mask_mod, *old.shifted, position);
  data->shifted = std::make_shared<mask::ShiftedMod>();
  if (data->listing == Listing::exact) data->listing = Listing::coarse;
  replace_planes(*data, [&](const Plane& plane) { return cutter.cut(plane); });
  data->set_lengths(count, old.kv_len);
  data->count_blocks();
  return BlockMask(std::move(data));
}

BlockMask BlockMask::adjusted(int64_t q_len, int64_t kv_len) const {
  constexpr const char* kWhere = "BlockMask::adjusted";
  const Data& old = mask::data_of(*this, kWhere);
  check_length(kWhere, "q_len", old.q_len, q_len);
  check_length(kWhere, "kv_len", old.kv_len, kv_len);
  auto data = mask::copy_of(old);
  data->set_lengths(q_len, kv_len);
  if (data->listing == Listing::exact) data->listing = Listing::coarse;
  replace_planes(*data, [&](const Plane& plane) {
    return mask::make_plane(cut_corner(old.full(plane), data->rows, data->columns, kWhere),
                            cut_corner(old.partial(plane), data->rows, data->columns, kWhere),
                            data->columns, kWhere);
  });
  data->count_blocks();
  return BlockMask(std::move(data));
}

BlockMask BlockMask::expanded(int64_t batch, int64_t heads) const {
  constexpr const char* kWhere = "BlockMask::expanded";
  const Data& old = mask::data_of(*this, kWhere);
  const auto check = [](const char* rule, int64_t stored, int64_t wanted) {
    core::require(wanted == stored || (stored == 1 && wanted >= 0), kWhere, rule,
                  stored == 1 ? "at least 0" : std::to_string(stored), wanted);
  };
  check("batch must be the mask's, unless that is stored once", old.batch, batch);
  check("heads must be the mask's, unless they are stored once", old.heads, heads);
  auto data = mask::copy_of(old);
  data->batch = batch;
  data->heads = heads;
  data->planes.clear();
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t from = (old.batch == 1 ? 0 : b) * old.heads + (old.heads == 1 ? 0 : h);
      data->planes.push_back(old.planes[static_cast<std::size_t>(from)]);
    }
  }
  data->count_blocks();
  return BlockMask(std::move(data));
}

BlockMask BlockMask::transposed() const {
  const Data& old = mask::data_of(*this, "BlockMask::transposed");
  auto data = mask::copy_of(old);
  data->set_mask_mod(old.mask_mod ? mask::exchange_axes(old.mask_mod) : Program());
  data->exchanged = !old.exchanged;
  data->block_size = {old.block_size.kv, old.block_size.q};
  data->set_lengths(old.kv_len, old.q_len);
  return BlockMask(std::move(data));
}

BlockMask BlockMask::without_full_blocks() const {
  constexpr const char* kWhere = "BlockMask::without_full_blocks";
  const Data& old = mask::data_of(*this, kWhere);
  auto data = mask::copy_of(old);
  if (data->listing == Listing::exact) data->listing = Listing::coarse;
  replace_planes(*data, [&](const Plane& plane) {
    LineWriter full(old.rows, kWhere), partial(old.rows, kWhere);
    std::array<std::vector<int32_t>, 2> ends;
    for (int64_t row = 0; row < old.rows; ++row) {
      mask::ends_of(old.full(plane).line(row), ends[0]);
      mask::ends_of(old.partial(plane).line(row), ends[1]);
      mask::sweep<2>(ends, static_cast<int32_t>(old.columns),
                     [&](int32_t begin, int32_t end, unsigned flags) {
                       if (flags != 0) partial.add(begin, end);
                     });
      full.end_line();
      partial.end_line();
    }
    return mask::make_plane(full.finish(), partial.finish(), old.columns, kWhere);
  });
  data->count_blocks();
  return BlockMask(std::move(data));
}

}  // namespace fovea
