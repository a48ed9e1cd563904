// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "analysis/dependence.h"
#include "cpu/attention/tile_program.h"
#include "program/graph.h"

/// The steps of lower(): join both programs into one list of terms, select instructions, allocate.
namespace fovea::cpu {

struct TileProgram::Data {
  TileCode code;  // points into the vectors below
  std::vector<TileInstruction> instructions;
  std::vector<TileIndex> indices;
  std::vector<TileScalar> scalars;
  std::vector<uint16_t> broadcast_rows;
  int32_t score_params = 0, params = 0;  // how many of all belong to the score_mod
  int32_t score_captures = 0, captures = 0;
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
};

/// Both programs as one hash-consed list, operands first. The score part ends at `score_root`;
/// `root` wraps it in the selects that put -inf where the mask is false.
class Joint {
 public:
  TermId import(const program::Graph& graph, int32_t first_param, int32_t first_capture);
  TermId add(Term term);
  TermId constant(ScalarType type, double value);
  TermId input(program::Input input);
  TermId logical_not(TermId condition);
  TermId logical_and(TermId a, TermId b);

  /// where(condition, x, value), a conjunction split so that each shape class is tested by itself:
  /// what depends on the row alone is then tested once a row, on the diagonal once a diagonal.
  TermId fill(TermId x, TermId condition, TermId value);
  /// The same for a score_mod that ends in such selects itself.
  TermId split_fills(TermId result);

  const Term& operator[](TermId id) const { return terms_[static_cast<std::size_t>(id)]; }
  TermId size() const noexcept { return static_cast<TermId>(terms_.size()); }

  TermId score_root = -1, root = -1;

 private:
  using Key = std::tuple<program::Op, ScalarType, int32_t, int64_t, uint64_t, std::vector<TermId>>;
  std::vector<Term> terms_;
  std::map<Key, TermId> known_;
};

Joint join(const Program& score_mod, const Program& mask_mod);

/// Where a term is computed when something at `site` reads it: what does not need all of the plane
/// is computed earlier. Inside a hoisted phase the index that it does not have is 0: a diagonal
/// term sees (q, kv) = (d, 0), and so do its operands whatever their own class.
TilePhase site_of(const Term& term, TilePhase site);

/// Whether the term is an index that `site` does not have.
bool is_zero_at(const Term& term, TilePhase site);

/// An instruction before allocation.
struct Selected {
  TileOp op = TileOp::copy;
  std::vector<TermId> args;  // of a gather: its indices
};

/// The instruction for a term; at the tile site it may absorb operands that have no other use
/// (`uses`, by term).
Selected select(const Joint& joint, TermId id, TilePhase site, const std::vector<int32_t>& uses);

/// Whether each lane of the term is the one before plus 1, along the phase's own index.
bool is_consecutive(const Joint& joint, TermId id, TilePhase site);

}  // namespace lowering
}  // namespace fovea::cpu
