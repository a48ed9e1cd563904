// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "analysis/bounds.h"
#include "mask/block_mask_data.h"
#include "mask/leaf_classifier.h"

/// Builds the planes of a BlockMask by splitting boxes of blocks, from the whole plane down.
namespace fovea::mask {

/// Blocks [row0, row1) x [column0, column1).
struct Rect {
  int32_t row0 = 0, row1 = 0, column0 = 0, column1 = 0;
};

/// One per thread; builds any number of planes.
class PlaneBuilder {
 public:
  PlaneBuilder(const Program& simplified, analysis::Bounds bounds, bool diagonal,
               const BlockMaskOptions& options);
  ~PlaneBuilder();

  std::shared_ptr<const Plane> build(int64_t b, int64_t h);
  BlockMaskStats stats() const;

 private:
  struct Lists;
  void split(const Rect& rect);
  void split_into(const Rect& rect, bool by_rows, bool by_columns);
  void emit_true(const Rect& rect);
  void emit(const Rect& rect, bool full);
  analysis::Box elements_of(const Rect& rect) const;

  const BlockMaskOptions options_;
  int32_t rows_ = 0, columns_ = 0;
  int32_t whole_rows_ = 0, whole_columns_ = 0;  // blocks that end within the lengths
  analysis::Bounds bounds_;
  LeafClassifier leaves_;
  int64_t b_ = 0, h_ = 0;
  int64_t boxes_ = 0;
  std::unique_ptr<Lists> lists_;
};

}  // namespace fovea::mask
