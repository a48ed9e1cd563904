// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "program/graph.h"

/// Integer linear forms. Two flavours:
/// - PlaneForm, of a structure alone: (a*q + b*kv) * unit + something that reads neither. It finds the
///   nodes that see q and kv only as q - kv.
/// - LinearForm, of a program with its numbers: a constant plus coefficients times other nodes. It
///   finds operands that share a term, where plain intervals would count that term twice.
namespace fovea::analysis {

/// unit is a node that reads neither q nor kv (a run-time factor), or -1 for 1.
struct PlaneForm {
  bool known = false;
  int64_t q = 0, kv = 0;
  program::NodeId unit = -1;

  bool reads_plane() const noexcept { return q != 0 || kv != 0; }
};

PlaneForm add(const PlaneForm& a, const PlaneForm& b);
PlaneForm negate(PlaneForm a);
PlaneForm scale(PlaneForm a, int64_t factor);
PlaneForm scale_by_unit(PlaneForm a, program::NodeId unit);

class LinearForm {
 public:
  struct Term {
    program::NodeId node = -1;
    int64_t factor = 0;
  };
  static constexpr int kMaxTerms = 4;

  static LinearForm constant(int64_t value);
  static LinearForm atom(program::NodeId node);

  bool is_constant() const noexcept { return count_ == 0; }
  int64_t offset() const noexcept { return offset_; }
  std::span<const Term> terms() const noexcept {
    return std::span(terms_).first(static_cast<std::size_t>(count_));
  }

  /// this + factor * other; false if it does not fit (too many terms, or beyond 2^60).
  bool add(const LinearForm& other, int64_t factor);
  bool shares_term(const LinearForm& other) const noexcept;

 private:
  std::array<Term, kMaxTerms> terms_{};  // ascending by node, no zero factors
  int count_ = 0;
  int64_t offset_ = 0;
};

}  // namespace fovea::analysis
