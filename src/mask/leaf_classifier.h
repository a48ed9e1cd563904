// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <fovea/block_mask.h>
#include "analysis/bounds.h"
#include "program/interpret.h"

/// Decides exactly what `bounds` left open: whether a mask is true everywhere, nowhere or both in the
/// elements of a box. It stops as soon as it has seen a true and a false.
namespace fovea::mask {

class LeafClassifier {
 public:
  /// `simplified` is the mask; `diagonal` says that it depends on q - kv alone (and b, h). Bounds
  /// is shared with the caller; its last box is not kept.
  LeafClassifier(const Program& simplified, analysis::Bounds& bounds, bool diagonal,
                 const BlockMaskOptions& options);

  /// Forgets what belongs to a plane.
  void start_plane();

  /// `box`, undecided, is one block.
  analysis::Verdict classify_block(const analysis::Box& box);
  /// `box`, undecided, may be many blocks long, but not along `open`, the axes that it is open on: at
  /// most one of q and kv.
  analysis::Verdict classify_strip(const analysis::Box& box, analysis::Axes open);

  int64_t leaves() const noexcept { return leaves_; }
  int64_t boxes() const noexcept { return boxes_; }  // cut inside blocks
  int64_t evaluations() const noexcept;

 private:
  struct Place {
    int64_t q = 0, kv = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct Seen {  // an element where the mask is true, one where it is false
    std::optional<Place> yes, no;
    void add(bool value, Place place) {
      std::optional<Place>& known = value ? yes : no;
      if (!known) known = place;
    }
    bool both() const noexcept { return yes && no; }
    analysis::Verdict verdict() const noexcept {
      if (both()) return analysis::Verdict::mixed;
      return yes ? analysis::Verdict::all : analysis::Verdict::none;
    }
  };
  struct Openness {  // of a box that bounds left undecided
    analysis::Axes all = 0;
    analysis::Axes narrow = 0;
  };

  analysis::Verdict classify_diagonal(const analysis::Box& box);
  analysis::Verdict evaluate_diagonal(const analysis::Box& box);
  bool probe(const analysis::Box& box, Seen& seen);
  bool refine(const analysis::Box& box, Openness open, int64_t& budget, Seen& seen);
  Openness openness() { return {bounds_.open_axes(), bounds_.narrow_axes()}; }
  void evaluate(const analysis::Box& box, analysis::Axes open, Seen& seen);
  void evaluate_row(const analysis::Box& box, int64_t q, Seen& seen);
  void evaluate_column(const analysis::Box& box, Seen& seen);
  void remember(const analysis::Box& box, Place place);

  const Program program_;
  analysis::Bounds& bounds_;
  const bool diagonal_;
  const BlockMaskOptions options_;
  program::RowInterpreter rows_;
  std::unique_ptr<program::RowInterpreter> columns_;  // the program with q and kv exchanged

  std::vector<Place> places_;  // in a block: where the last ones showed a true or a false
  int64_t diagonal_step_ = 1;
  std::vector<uint8_t> memo_[4];  // by ragged shape, then by diagonal; 0: not known yet
  int64_t leaves_ = 0;
  int64_t boxes_ = 0;
  int64_t probes_ = 0;
};

}  // namespace fovea::mask
