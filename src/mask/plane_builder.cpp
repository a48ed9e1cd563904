// SPDX-License-Identifier: Apache-2.0
#include "mask/plane_builder.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "mask/run_builder.h"

namespace fovea::mask {

using analysis::Axes;
using analysis::Box;
using analysis::Verdict;

struct PlaneBuilder::Lists {
  Lists(int64_t rows, int64_t columns)
      : full(rows), partial(rows), full_in_column(columns), partial_in_column(columns) {}
  RunBuilder full, partial, full_in_column, partial_in_column;
};

PlaneBuilder::PlaneBuilder(const Program& simplified, analysis::Bounds bounds, bool diagonal,
                           const BlockMaskOptions& options)
    : options_(options),
      rows_(static_cast<int32_t>(block_count(options.q_len, options.block_size.q))),
      columns_(static_cast<int32_t>(block_count(options.kv_len, options.block_size.kv))),
      whole_rows_(static_cast<int32_t>(options.q_len / options.block_size.q)),
      whole_columns_(static_cast<int32_t>(options.kv_len / options.block_size.kv)),
      bounds_(std::move(bounds)),
      leaves_(simplified, bounds_, diagonal, options) {}

PlaneBuilder::~PlaneBuilder() = default;

std::shared_ptr<const Plane> PlaneBuilder::build(int64_t b, int64_t h) {
  b_ = b;
  h_ = h;
  leaves_.start_plane();
  lists_ = std::make_unique<Lists>(rows_, columns_);
  if (rows_ > 0 && columns_ > 0) split({0, rows_, 0, columns_});
  auto plane = std::make_shared<Plane>();
  plane->full = lists_->full.finish();
  plane->partial = lists_->partial.finish();
  plane->full_in_column = lists_->full_in_column.finish();
  plane->partial_in_column = lists_->partial_in_column.finish();
  lists_.reset();
  return plane;
}

BlockMaskStats PlaneBuilder::stats() const {
  return {.boxes = boxes_ + leaves_.boxes(),
          .leaves = leaves_.leaves(),
          .leaf_evaluations = leaves_.evaluations()};
}

Box PlaneBuilder::elements_of(const Rect& rect) const {
  const auto end = [](int32_t blocks, int32_t count, int64_t size, int64_t length) {
    return blocks == count ? length - 1 : blocks * size - 1;
  };
  return {.b0 = b_,
          .b1 = b_,
          .h0 = h_,
          .h1 = h_,
          .q0 = rect.row0 * options_.block_size.q,
          .q1 = end(rect.row1, rows_, options_.block_size.q, options_.q_len),
          .kv0 = rect.column0 * options_.block_size.kv,
          .kv1 = end(rect.column1, columns_, options_.block_size.kv, options_.kv_len)};
}

void PlaneBuilder::split(const Rect& rect) {
  const Box box = elements_of(rect);
  ++boxes_;
  Verdict verdict = bounds_.verdict(box);
  if (verdict == Verdict::mixed) {
    const bool many_rows = rect.row1 - rect.row0 > 1;
    const bool many_columns = rect.column1 - rect.column0 > 1;
    if (many_rows || many_columns) {
      // Along an axis that the mask no longer depends on, the box is never cut.
      const Axes open = bounds_.open_axes();
      const bool by_rows = many_rows && (open & analysis::kAxisQ) != 0;
      const bool by_columns = many_columns && (open & analysis::kAxisKv) != 0;
      if (by_rows || by_columns) return split_into(rect, by_rows, by_columns);
      verdict = leaves_.classify_strip(box, open);
    } else {
      verdict = leaves_.classify_block(box);
    }
  }
  if (verdict == Verdict::all) emit_true(rect);
  if (verdict == Verdict::mixed) emit(rect, false);
}

// Cuts at multiples of powers of two. The parts are visited so that the runs of each row and of each
// column come in ascending order.
void PlaneBuilder::split_into(const Rect& rect, bool by_rows, bool by_columns) {
  const auto half = [](int32_t blocks) {
    return static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(blocks)) / 2);
  };
  const int32_t rows = half(rect.row1 - rect.row0);
  const int32_t columns = half(rect.column1 - rect.column0);
  if (by_rows && by_columns) {
    // Only the longer side of a long box: square boxes decide most.
    const int64_t height = rows * options_.block_size.q;
    const int64_t width = columns * options_.block_size.kv;
    by_rows = 2 * height > width;
    by_columns = 2 * width > height;
  }
  const int32_t middle_row = by_rows ? rect.row0 + rows : rect.row1;
  const int32_t middle_column = by_columns ? rect.column0 + columns : rect.column1;
  for (const bool lower : {false, true}) {
    for (const bool right : {false, true}) {
      const Rect part{lower ? middle_row : rect.row0, lower ? rect.row1 : middle_row,
                      right ? middle_column : rect.column0, right ? rect.column1 : middle_column};
      if (part.row0 < part.row1 && part.column0 < part.column1) split(part);
    }
  }
}

// A block that reaches beyond the lengths is at most partial.
void PlaneBuilder::emit_true(const Rect& rect) {
  const int32_t row = std::clamp(whole_rows_, rect.row0, rect.row1);
  const int32_t column = std::clamp(whole_columns_, rect.column0, rect.column1);
  emit({rect.row0, row, rect.column0, column}, true);
  emit({rect.row0, row, column, rect.column1}, false);
  emit({row, rect.row1, rect.column0, rect.column1}, false);
}

void PlaneBuilder::emit(const Rect& rect, bool full) {
  if (rect.row0 >= rect.row1 || rect.column0 >= rect.column1) return;
  RunBuilder& by_row = full ? lists_->full : lists_->partial;
  RunBuilder& by_column = full ? lists_->full_in_column : lists_->partial_in_column;
  by_row.append(rect.row0, rect.row1, {rect.column0, rect.column1});
  by_column.append(rect.column0, rect.column1, {rect.row0, rect.row1});
}

}  // namespace fovea::mask
