// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include <fovea/block_mask.h>
#include "analysis/bounds.h"
#include "analysis/dependence.h"
#include "core/fail.h"
#include "mask/block_mask_data.h"
#include "mask/leaf_classifier.h"
#include "mask/line_lists.h"

namespace fovea {
namespace {

using analysis::Verdict;
using mask::Listing;

// What the combination knows of a block before it looks inside.
enum class Known : uint8_t { skipped, partial, full, open };

// From the kinds of the operands' blocks: 0 is skipped, 2 is partial.
constexpr unsigned kFull = 1;
Known known_and(unsigned a, unsigned b) {
  if (a == 0 || b == 0) return Known::skipped;
  if (a == kFull && b == kFull) return Known::full;
  return a == kFull || b == kFull ? Known::partial : Known::open;
}
Known known_or(unsigned a, unsigned b) {
  if (a == kFull || b == kFull) return Known::full;
  if (a == 0 && b == 0) return Known::skipped;
  return a == 0 || b == 0 ? Known::partial : Known::open;
}
Known known_not(unsigned a, unsigned) {
  if (a == kFull) return Known::skipped;
  return a == 0 ? Known::full : Known::partial;
}

/// Combines planes row by row, and classifies the blocks that the operands' kinds leave open.
class Combiner {
 public:
  using Rule = Known (*)(unsigned a, unsigned b);

  Combiner(const Program& mod, const BlockMaskOptions& options, const char* where, Rule rule)
      : Combiner(simplify(mod), options, rule, where) {}

  std::shared_ptr<const mask::Plane> combine(int64_t b, int64_t h, const BlockMask::Data& first,
                                             const mask::Plane& a, const BlockMask::Data& second,
                                             const mask::Plane& c) {
    leaves_.start_plane();
    b_ = b;
    h_ = h;
    const int64_t rows = first.rows;
    columns_ = first.columns;
    mask::LineWriter full(rows, where_), partial(rows, where_);
    std::array<std::vector<int32_t>, 4> ends;
    for (int64_t row = 0; row < rows; ++row) {
      mask::ends_of(first.full(a).line(row), ends[0]);
      mask::ends_of(first.partial(a).line(row), ends[1]);
      mask::ends_of(second.full(c).line(row), ends[2]);
      mask::ends_of(second.partial(c).line(row), ends[3]);
      mask::sweep<4>(ends, static_cast<int32_t>(columns_),
                     [&](int32_t begin, int32_t end, unsigned flags) {
                       add(row, begin, end, rule_(flags & 3, flags >> 2), full, partial);
                     });
      full.end_line();
      partial.end_line();
    }
    return mask::make_plane(full.finish(), partial.finish(), columns_, where_);
  }

  BlockMaskStats stats() const {
    return {.boxes = boxes_ + leaves_.boxes(),
            .leaves = leaves_.leaves(),
            .leaf_evaluations = leaves_.evaluations()};
  }

 private:
  Combiner(const Program& simplified, const BlockMaskOptions& options, Rule rule, const char* where)
      : options_(options),
        rule_(rule),
        where_(where),
        bounds_(simplified),
        leaves_(simplified, bounds_, is_diagonal(simplified), options) {}

  static bool is_diagonal(const Program& simplified) {
    const auto& graph = simplified.graph();
    const auto all = analysis::dependence(graph);
    return all[static_cast<std::size_t>(graph.root)].shape == analysis::ShapeClass::diagonal;
  }

  void add(int64_t row, int32_t begin, int32_t end, Known known, mask::LineWriter& full,
           mask::LineWriter& partial) {
    if (known == Known::skipped) return;
    const BlockSize size = options_.block_size;
    const bool whole_row = (row + 1) * size.q <= options_.q_len;
    const auto whole = static_cast<int32_t>(options_.kv_len / size.kv);
    const int32_t ragged = whole_row ? std::clamp(whole, begin, end) : begin;
    // A block that reaches beyond the lengths is at most partial, and its kind says less.
    if (known == Known::open) {
      classify(row, begin, ragged, full, partial);
    } else {
      (known == Known::full ? full : partial).add(begin, ragged);
    }
    if (known == Known::full) {
      partial.add(ragged, end);
    } else {
      classify(row, ragged, end, partial, partial);
    }
  }

  void classify(int64_t row, int32_t begin, int32_t end, mask::LineWriter& all,
                mask::LineWriter& mixed) {
    const BlockSize size = options_.block_size;
    for (int32_t column = begin; column < end; ++column) {
      const analysis::Box box{.b0 = b_,
                              .b1 = b_,
                              .h0 = h_,
                              .h1 = h_,
                              .q0 = row * size.q,
                              .q1 = std::min(options_.q_len, (row + 1) * size.q) - 1,
                              .kv0 = column * size.kv,
                              .kv1 = std::min(options_.kv_len, (column + 1) * size.kv) - 1};
      ++boxes_;
      Verdict verdict = bounds_.verdict(box);
      if (verdict == Verdict::mixed) verdict = leaves_.classify_block(box);
      if (verdict == Verdict::all) all.add(column, column + 1);
      if (verdict == Verdict::mixed) mixed.add(column, column + 1);
    }
  }

  const BlockMaskOptions options_;
  const Rule rule_;
  const char* where_;
  analysis::Bounds bounds_;
  mask::LeafClassifier leaves_;
  int64_t columns_ = 0;
  int64_t b_ = 0, h_ = 0;
  int64_t boxes_ = 0;
};

void check_operand(const BlockMask::Data& data, const char* where) {
  core::require(data.listing != Listing::own, where,
                "masks whose lists decide have no mod that says it all",
                "masks of create_block_mask", "one of BlockMask::from_kv_blocks or index");
}

int64_t common(const char* where, const char* rule, int64_t a, int64_t b) {
  core::require(a == b || a == 1 || b == 1, where, rule, a, b);
  return a == 1 ? b : a;
}

BlockMaskOptions common_shape(const char* where, const BlockMask::Data& a,
                              const BlockMask::Data& b) {
  core::require(a.q_len == b.q_len, where, "masks must have the same q_len", a.q_len, b.q_len);
  core::require(a.kv_len == b.kv_len, where, "masks must have the same kv_len", a.kv_len, b.kv_len);
  const auto size = [](const BlockMask::Data& data) {
    return std::to_string(data.block_size.q) + " x " + std::to_string(data.block_size.kv);
  };
  core::require(a.block_size == b.block_size, where, "masks must have the same block_size", size(a),
                size(b));
  return {.q_len = a.q_len,
          .kv_len = a.kv_len,
          .batch = common(where, "masks must have the same batch, or one of 1", a.batch, b.batch),
          .heads = common(where, "masks must have the same heads, or one of 1", a.heads, b.heads),
          .block_size = a.block_size};
}

BlockMask combined(const char* where, const BlockMask& a, const BlockMask& b, const Program& mod,
                   const BlockMaskOptions& shape, Combiner::Rule rule) {
  const BlockMask::Data& first = mask::data_of(a, where);
  const BlockMask::Data& second = mask::data_of(b, where);
  auto data = std::make_shared<BlockMask::Data>();
  if (first.listing == Listing::exact && second.listing == Listing::exact) {
    data->batch = shape.batch;
    data->heads = shape.heads;
    data->block_size = shape.block_size;
    data->set_lengths(shape.q_len, shape.kv_len);
    Combiner combiner(mod, shape, where, rule);
    const auto plane_of = [](const BlockMask::Data& from, int64_t batch,
                             int64_t head) -> const mask::Plane& {
      return from.plane(from.batch == 1 ? 0 : batch, from.heads == 1 ? 0 : head);
    };
    for (int64_t batch = 0; batch < shape.batch; ++batch) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        data->planes.push_back(combiner.combine(batch, head, first, plane_of(first, batch, head),
                                                second, plane_of(second, batch, head)));
      }
    }
    data->count_blocks();
    data->stats = combiner.stats();
  } else {
    // Coarse kinds say too little: the mod alone, as for a new mask.
    data = std::make_shared<BlockMask::Data>(*create_block_mask(mod, shape).shared_data());
  }
  data->set_mask_mod(mod);
  data->owned = first.owned;
  data->owned.insert(data->owned.end(), second.owned.begin(), second.owned.end());
  return BlockMask(std::move(data));
}

BlockMask combined(const char* where, const BlockMask& a, const BlockMask& b,
                   Program (*combine_mods)(const Program&, const Program&), Combiner::Rule rule) {
  const BlockMask::Data& first = mask::data_of(a, where);
  const BlockMask::Data& second = mask::data_of(b, where);
  check_operand(first, where);
  check_operand(second, where);
  const BlockMaskOptions shape = common_shape(where, first, second);
  return combined(where, a, b, combine_mods(first.mask_mod, second.mask_mod), shape, rule);
}

}  // namespace

BlockMask and_masks(const BlockMask& a, const BlockMask& b) {
  return combined("and_masks", a, b, and_masks, known_and);
}

BlockMask or_masks(const BlockMask& a, const BlockMask& b) {
  return combined("or_masks", a, b, or_masks, known_or);
}

BlockMask not_mask(const BlockMask& a) {
  constexpr const char* kWhere = "not_mask";
  const BlockMask::Data& data = mask::data_of(a, kWhere);
  check_operand(data, kWhere);
  const BlockMaskOptions shape = common_shape(kWhere, data, data);
  return combined(kWhere, a, a, not_mask(data.mask_mod), shape, known_not);
}

}  // namespace fovea
