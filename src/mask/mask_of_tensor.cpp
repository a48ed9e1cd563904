// SPDX-License-Identifier: Apache-2.0
#include "mask/mask_of_tensor.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include <fovea/value.h>
#include "mask/block_mask_data.h"
#include "mask/line_lists.h"

namespace fovea::mask {
namespace {

// Both bits: partly allowed.
constexpr uint8_t kSomeAllowed = 1, kSomeForbidden = 2, kMixed = 3;

// Along an axis of size 1 one index serves all.
Program program_of(const TensorView& allowed) {
  const Capture tensor = capture(allowed);
  const auto at = [&](int axis, const Value& index) {
    return allowed.size(axis) == 1 ? Value(0) : index;
  };
  return mask_mod([&](auto b, auto h, auto q, auto kv) {
    return tensor(at(0, b), at(1, h), at(2, q), at(3, kv));
  });
}

uint8_t look(const uint8_t* from, int64_t stride, int64_t count) {
  uint8_t any = 0, least = 255;
  if (stride == 1) {  // vectorises
    for (int64_t i = 0; i < count; ++i) {
      any |= from[i];
      least = std::min(least, from[i]);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      any |= from[i * stride];
      least = std::min(least, from[i * stride]);
    }
  }
  return static_cast<uint8_t>((any != 0 ? kSomeAllowed : 0) | (least == 0 ? kSomeForbidden : 0));
}

class Reader {
 public:
  Reader(const TensorView& allowed, const BlockMask::Data& data)
      : allowed_(allowed),
        size_(data.block_size),
        lines_(allowed.size(2) == 1 ? std::min<int64_t>(data.rows, 1) : data.rows),
        cells_(allowed.size(3) == 1 ? std::min<int64_t>(data.columns, 1) : data.columns) {
    kinds_.resize(static_cast<std::size_t>(data.batch * data.heads * lines_ * cells_));
  }

  void read(Executor& executor) {
    const int64_t planes = allowed_.size(0) * allowed_.size(1);
    executor.parallel(planes * lines_,
                      [this](int64_t task, int) { read_line(task / lines_, task % lines_); });
  }

  uint8_t kind(int64_t plane, int64_t row, int64_t column) const {
    const int64_t line = plane * lines_ + std::min(row, lines_ - 1);
    return kinds_[static_cast<std::size_t>(line * cells_ + std::min(column, cells_ - 1))];
  }

 private:
  // A row of blocks, position by position until each is known to be mixed.
  void read_line(int64_t plane, int64_t line) {
    if (cells_ == 0) return;  // without keys the tensor may be at null
    uint8_t* kinds = kinds_.data() + static_cast<std::size_t>((plane * lines_ + line) * cells_);
    const auto* base = static_cast<const uint8_t*>(allowed_.data) +
                       plane / allowed_.size(1) * allowed_.stride(0) +
                       plane % allowed_.size(1) * allowed_.stride(1);
    const int64_t end = std::min((line + 1) * size_.q, allowed_.size(2));
    const int64_t keys = allowed_.size(3), stride = allowed_.stride(3);
    int64_t open = cells_;
    for (int64_t q = line * size_.q; q < end && open > 0; ++q) {
      const uint8_t* row = base + q * allowed_.stride(2);
      for (int64_t cell = 0; cell < cells_; ++cell) {
        if (kinds[cell] == kMixed) continue;
        const int64_t first = cell * size_.kv;
        kinds[cell] |= look(row + first * stride, stride, std::min(size_.kv, keys - first));
        if (kinds[cell] == kMixed) --open;
      }
    }
  }

  const TensorView& allowed_;
  const BlockSize size_;
  const int64_t lines_, cells_;  // blocks that are told apart along q and kv
  std::vector<uint8_t> kinds_;
};

// A block that reaches beyond the lengths is at most partial.
std::shared_ptr<const Plane> make_plane_of(const char* where, const Reader& reader, int64_t plane,
                                           const BlockMask::Data& data) {
  LineWriter full(data.rows, where), partial(data.rows, where);
  for (int64_t row = 0; row < data.rows; ++row) {
    const bool whole_row = (row + 1) * data.block_size.q <= data.q_len;
    for (int64_t column = 0; column < data.columns; ++column) {
      const uint8_t kind = reader.kind(plane, row, column);
      if ((kind & kSomeAllowed) == 0) continue;
      const bool whole = whole_row && (column + 1) * data.block_size.kv <= data.kv_len;
      const auto at = static_cast<int32_t>(column);
      (whole && kind == kSomeAllowed ? full : partial).add(at, at + 1);
    }
    full.end_line();
    partial.end_line();
  }
  return make_plane(full.finish(), partial.finish(), data.columns, where);
}

}  // namespace

BlockMask mask_of_tensor(const char* where, const TensorView& allowed, int64_t q_len,
                         int64_t kv_len, Executor& executor) {
  auto data = std::make_shared<BlockMask::Data>();
  check_blocks(where, "q", q_len, data->block_size.q);
  check_blocks(where, "kv", kv_len, data->block_size.kv);
  data->set_mask_mod(program_of(allowed));
  data->batch = std::max<int64_t>(1, allowed.size(0));
  data->heads = std::max<int64_t>(1, allowed.size(1));
  data->set_lengths(q_len, kv_len);
  Reader reader(allowed, *data);
  reader.read(executor);
  for (int64_t plane = 0; plane < data->batch * data->heads; ++plane) {
    data->planes.push_back(make_plane_of(where, reader, plane, *data));
  }
  data->count_blocks();
  return BlockMask(std::move(data));
}

}  // namespace fovea::mask
