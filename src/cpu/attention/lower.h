// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "analysis/dependence.h"
#include "cpu/attention/tile_program.h"
#include "program/derive.h"
#include "program/graph.h"

/// The steps of lower() and lower_joint(): join the programs into one list of terms, choose what is
/// kept for the backward part, select instructions, allocate.
namespace fovea::cpu {

struct TileProgram::Data {
  TileCode code;  // points into the vectors below
  std::vector<TileInstruction> instructions;
  std::vector<TileIndex> indices;
  std::vector<TileScalar> scalars;
  std::vector<uint16_t> broadcast_rows;
  int32_t score_params = 0, params = 0;  // how many of all belong to the score_mod
  int32_t score_captures = 0, captures = 0;
  std::vector<TileContribution> contributions;
  std::optional<program::JointProgram> joint;  // of lower_joint()
};

namespace lowering {

using analysis::ShapeClass;
using TermId = int32_t;

/// A node of either program. Parameter and capture slots of the mask_mod follow the score_mod's.
struct Term {
  program::Op op = program::Op::constant;
  ScalarType type = ScalarType::i32;
  ShapeClass shape = ShapeClass::scalar;
  int32_t slot = 0;
  Literal literal;
  std::vector<TermId> args;
  bool of_dout = false;  // a gradient: computed from dout
};

/// What a contribution of a joint program adds, and where.
struct Sum {
  TileOp op = TileOp::sum_scalar;
  int32_t contribution = 0;
  TermId value = -1;
  std::vector<TermId> index;  // of a scatter
};

/// The programs as one hash-consed list, operands first. The score part ends at `score_root`; `root`
/// wraps it in the selects that put -inf where the mask is false. A joint program has `dscore` and
/// `sums` besides.
class Terms {
 public:
  /// The term of each node.
  std::vector<TermId> import(const program::Graph& graph, int32_t first_param,
                             int32_t first_capture);
  TermId add(Term term);
  TermId constant(ScalarType type, double value);
  TermId input(program::Input input);
  TermId divide(TermId a, TermId b);  // of a gradient, (g * b) / b becomes g * (b / b)
  TermId on_tile(TermId value);       // a copy for every element
  TermId logical_not(TermId condition);
  TermId logical_and(TermId a, TermId b);

  /// where(condition, x, value), a conjunction split so that each shape class is tested by itself:
  /// what depends on the row alone is then tested once a row, on the diagonal once a diagonal.
  TermId fill(TermId x, TermId condition, TermId value);
  /// The same for a score_mod that ends in such selects itself.
  TermId split_fills(TermId result);

  const Term& operator[](TermId id) const { return terms_[static_cast<std::size_t>(id)]; }
  TermId size() const noexcept { return static_cast<TermId>(terms_.size()); }

  /// Whether the forward part keeps the term's values for the backward part.
  bool is_saved(TermId id) const { return saved_.contains(id); }
  void save(TermId id) { saved_.insert(id); }

  // Every list begins with these.
  static constexpr TermId kScore = 0;
  static constexpr TermId kRawScore = 1;  // a copy; saved, it serves the backward part
  static constexpr TermId kDout = 2, kOne = 3;

  TermId score_root = -1, root = -1;
  TermId dscore = -1;  // -1: no backward part
  std::vector<Sum> sums;

 private:
  TermId operation(program::Op op, TermId a, TermId b);  // of f32
  TermId without_factor(TermId product, TermId factor);  // -1: it is none

  using Key = std::tuple<program::Op, ScalarType, int32_t, int64_t, uint64_t, std::vector<TermId>>;
  std::vector<Term> terms_;
  std::map<Key, TermId> known_;
  std::set<TermId> saved_;
};

/// `joint`, if any, is derived from score_mod and replaces it.
Terms join(const Program& score_mod, const program::JointProgram* joint, const Program& mask_mod);

/// dscore and the sums of a joint program whose nodes are the terms `ids`.
void add_backward(Terms& terms, const program::JointProgram& joint, const std::vector<TermId>& ids);

/// Chooses what the forward part keeps: whatever the backward part reads of it and would take longer
/// to compute again than to load. Anything less is computed again, from hoisted values and from what is kept.
void choose_saved(Terms& terms);

/// Does it run for every element?
inline bool is_tile_site(TilePhase site) {
  return site == TilePhase::tile || site == TilePhase::backward;
}

/// Where a term is computed when something at `site` reads it: what does not need all of the plane
/// is computed earlier, unless it is saved. Inside a hoisted phase the index that it does not have is 0: a diagonal
/// term sees (q, kv) = (d, 0), and so do its operands whatever their own class.
TilePhase site_of(const Terms& terms, TermId id, TilePhase site);

/// Whether the term is an index that `site` does not have.
bool is_zero_at(const Term& term, TilePhase site);

/// An instruction before allocation.
struct Selected {
  TileOp op = TileOp::copy;
  std::vector<TermId> args;  // of a gather: its indices
};

/// The instruction for a term; where it runs element by element it may absorb operands that have no
/// other use at that site (`uses`, by term).
Selected select(const Terms& terms, TermId id, TilePhase site, const std::vector<int32_t>& uses);

/// The same for a sum: its value, or a gradient and the factor that it multiplies; then the indices.
Selected select(const Terms& terms, const Sum& sum, const std::vector<int32_t>& uses);

/// Instructions, places and phases.
void emit(const Terms& terms, TileProgram::Data& data);

/// Whether each lane of the term is the one before plus 1, along the phase's own index.
bool is_consecutive(const Terms& terms, TermId id, TilePhase site);

}  // namespace lowering
}  // namespace fovea::cpu
