// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

#include <fovea/error.h>
#include "cpu/attention/lower.h"
#include "cpu/attention/lower_allocate.h"

namespace fovea::cpu::lowering {
namespace {

using program::Input;
using program::Op;

// Elements of a chunk of the tile phase: what its values need at once should stay in the first-
// level cache, next to the scores themselves.
constexpr int32_t kChunkWithTemps = 1024;
constexpr int32_t kChunkInPlace = 4096;

bool is_leaf(Op op) { return op == Op::input || op == Op::constant || op == Op::param; }

int32_t bits_of(const Literal& literal) {
  switch (literal.type) {
    case ScalarType::f32: return std::bit_cast<int32_t>(static_cast<float>(literal.f));
    case ScalarType::i32: return static_cast<int32_t>(literal.i);
    case ScalarType::boolean: return literal.i != 0 ? -1 : 0;
  }
  return 0;
}

/// Emits joined programs: marks what each phase must compute, orders it, gives it places.
class Emitter {
 public:
  Emitter(const Terms& terms, TileProgram::Data& data)
      : terms_(terms),
        data_(data),
        uses_(count_uses(terms)),
        backward_uses_(count_backward_uses(terms)) {
    for (auto& phase : cells_) phase.resize(static_cast<std::size_t>(terms.size()));
  }

  void run() {
    mark();
    for (const TilePhase phase : kForward) order(phase);
    order_backward();
    for (const TilePhase phase : kForward) count_readers(phase);
    count_readers(TilePhase::backward);
    place_score();
    place_in_tile(terms_.dscore, Terms::kDout, TilePhase::backward);
    for (const TilePhase phase : kForward) emit(phase);
    emit(TilePhase::backward);
    finish();
  }

 private:
  enum class Need : uint8_t { none, by_mask, by_score };

  static constexpr TilePhase kForward[] = {TilePhase::scalar, TilePhase::row, TilePhase::column,
                                           TilePhase::diagonal, TilePhase::tile};

  // A term at a site.
  struct Cell {
    Need need = Need::none;
    bool exported = false;  // a later phase reads it
    bool in_tile = false;   // its place is the caller's tile
    int32_t readers = 0;    // in its own phase
    int32_t last_reader = -1;
    int32_t position = -1;
    TileOperand place;
    Selected selected;
  };

  // What gives one instruction: a term, or a sum.
  struct Step {
    TermId term = -1;
    int32_t sum = -1;
  };

  Cell& cell(TermId id, TilePhase phase) {
    return cells_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(id)];
  }

  static std::vector<int32_t> count_uses(const Terms& terms) {
    std::vector<int32_t> uses(static_cast<std::size_t>(terms.size()));
    const auto use = [&](TermId id) -> int32_t& { return uses[static_cast<std::size_t>(id)]; };
    ++use(terms.root);
    ++use(terms.score_root);  // never absorbed: it ends the score part
    for (TermId id = terms.size() - 1; id >= 0; --id) {
      if (use(id) == 0) continue;
      for (const TermId arg : terms[id].args) ++use(arg);
    }
    return uses;
  }

  // At the backward site, where operands that are not computed there count as leaves.
  static std::vector<int32_t> count_backward_uses(const Terms& terms) {
    std::vector<int32_t> uses(static_cast<std::size_t>(terms.size()));
    const auto use = [&](TermId id) -> int32_t& { return uses[static_cast<std::size_t>(id)]; };
    if (terms.dscore >= 0) ++use(terms.dscore);
    for (const Sum& sum : terms.sums) {
      ++use(sum.value);
      for (const TermId index : sum.index) ++use(index);
    }
    for (TermId id = terms.size() - 1; id >= 0; --id) {
      const bool here = site_of(terms, id, TilePhase::backward) == TilePhase::backward;
      if (use(id) == 0 || !here) continue;
      for (const TermId arg : terms[id].args) ++use(arg);
    }
    return uses;
  }

  bool is_here(TermId id, TilePhase phase) const {
    return !is_leaf(terms_[id].op) && site_of(terms_, id, phase) == phase;
  }
  const Selected& selected(const Step& step, TilePhase phase) {
    return step.sum >= 0 ? sums_[static_cast<std::size_t>(step.sum)]
                         : cell(step.term, phase).selected;
  }
  std::vector<Step>& steps(TilePhase phase) { return steps_[static_cast<std::size_t>(phase)]; }

  void mark() {
    cell(terms_.root, TilePhase::tile).need = Need::by_mask;
    cell(terms_.score_root, TilePhase::tile).need = Need::by_score;
    if (terms_.dscore >= 0) need_at(TilePhase::backward, terms_.dscore, Need::by_score);
    for (const Sum& sum : terms_.sums) {
      sums_.push_back(select(terms_, sum, backward_uses_));
      for (const TermId arg : sums_.back().args) need_at(TilePhase::backward, arg, Need::by_score);
    }
    // A kept score may stand after its readers in the list; its own operand is a leaf.
    for (TermId id = terms_.size() - 1; id >= 0; --id) {
      mark_operands(id, TilePhase::backward);
      for (int p = static_cast<int>(TilePhase::tile); p >= 0; --p) {
        mark_operands(id, static_cast<TilePhase>(p));
      }
    }
  }

  void need_at(TilePhase phase, TermId id, Need need) {
    Cell& read = cell(id, site_of(terms_, id, phase));
    if (read.need < need) read.need = need;
  }

  void mark_operands(TermId id, TilePhase phase) {
    Cell& reader = cell(id, phase);
    if (reader.need == Need::none || is_leaf(terms_[id].op)) return;
    const bool backward = phase == TilePhase::backward;
    reader.selected = select(terms_, id, phase, backward ? backward_uses_ : uses_);
    for (const TermId arg : reader.selected.args) need_at(phase, arg, reader.need);
  }

  // What the score (or the backward part) needs comes first, so that a tile without a mask stops
  // there.
  void order(TilePhase phase) {
    for (const Need need : {Need::by_score, Need::by_mask}) {
      if (need == Need::by_mask) mask_begin_[static_cast<std::size_t>(phase)] = steps(phase).size();
      for (TermId id = 0; id < terms_.size(); ++id) {
        if (cell(id, phase).need == need && !is_leaf(terms_[id].op)) steps(phase).push_back({id});
      }
    }
  }

  // Sum after sum, each as soon as its value is there; dscore, which overwrites dout, at the end.
  void order_backward() {
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      order_terms(sums_[i].args);
      steps(TilePhase::backward).push_back({.sum = static_cast<int32_t>(i)});
    }
    if (terms_.dscore >= 0) order_terms({terms_.dscore});
    mask_begin_[static_cast<std::size_t>(TilePhase::backward)] = steps(TilePhase::backward).size();
  }

  void order_terms(const std::vector<TermId>& outputs) {
    ordered_.resize(static_cast<std::size_t>(terms_.size()), false);
    std::vector<TermId> pending = outputs, found;
    while (!pending.empty()) {
      const TermId id = pending.back();
      pending.pop_back();
      if (!is_here(id, TilePhase::backward) || ordered_[static_cast<std::size_t>(id)]) continue;
      ordered_[static_cast<std::size_t>(id)] = true;
      found.push_back(id);
      const std::vector<TermId>& args = cell(id, TilePhase::backward).selected.args;
      pending.insert(pending.end(), args.begin(), args.end());
    }
    std::sort(found.begin(), found.end());
    for (const TermId id : found) steps(TilePhase::backward).push_back({id});
  }

  void count_readers(TilePhase phase) {
    for (std::size_t i = 0; i < steps(phase).size(); ++i) {
      const Step& step = steps(phase)[i];
      if (step.term >= 0) cell(step.term, phase).position = static_cast<int32_t>(i);
      for (const TermId arg : selected(step, phase).args) {
        read(arg, phase, static_cast<int32_t>(i));
      }
    }
  }

  void read(TermId arg, TilePhase phase, int32_t position) {
    const TilePhase site = site_of(terms_, arg, phase);
    Cell& value = cell(arg, site);
    if (site != phase) {
      value.exported = true;
    } else {
      ++value.readers;
      value.last_reader = position;
    }
  }

  void place_score() {
    TermId id = terms_.root;
    for (; id != terms_.score_root; id = terms_[id].args[1]) {
      cell(id, TilePhase::tile).in_tile = true;
    }
    place_in_tile(terms_.score_root, Terms::kScore, TilePhase::tile);
  }

  // The result must end in the caller's tile, where the input is. Going back from it, whatever has
  // one reader and is computed after the last use of the input may lie there too.
  void place_in_tile(TermId id, TermId input, TilePhase phase) {
    if (id < 0) return;
    const int32_t last_use = cell(input, phase).last_reader;
    while (is_here(id, phase)) {
      Cell& value = cell(id, phase);
      value.in_tile = true;
      TermId next = -1;
      for (const TermId arg : value.selected.args) {
        if (!is_here(arg, phase) || terms_.is_saved(arg)) continue;
        const Cell& candidate = cell(arg, phase);
        if (candidate.readers != 1 || candidate.position < last_use) continue;
        if (next < 0 || candidate.position > cell(next, phase).position) next = arg;
      }
      if (next < 0) break;
      id = next;
    }
  }

  void emit(TilePhase phase) {
    const std::size_t p = static_cast<std::size_t>(phase);
    TileRange& range = data_.code.phases[p];
    range.begin = static_cast<uint32_t>(data_.instructions.size());
    for (std::size_t i = 0; i < steps_[p].size(); ++i) {
      if (i == mask_begin_[p]) range.mask = static_cast<uint32_t>(data_.instructions.size());
      emit_one(steps_[p][i], phase, static_cast<int32_t>(i));
    }
    range.end = static_cast<uint32_t>(data_.instructions.size());
    if (mask_begin_[p] == steps_[p].size()) range.mask = range.end;
  }

  void emit_one(const Step& step, TilePhase phase, int32_t position) {
    const Selected& from = selected(step, phase);
    TileInstruction instruction;
    instruction.op = from.op;
    // The operands from this one on are indices.
    std::size_t first_index = from.args.size();
    if (from.op == TileOp::gather) {
      instruction.capture = checked16(terms_[step.term].slot);
      first_index = 0;
    } else if (step.sum >= 0) {
      instruction.capture = checked16(terms_.sums[static_cast<std::size_t>(step.sum)].contribution);
      if (from.op == TileOp::scatter) first_index = 1;
    }
    instruction.index_count = checked16(static_cast<int64_t>(from.args.size() - first_index));
    instruction.first_index = static_cast<uint32_t>(data_.indices.size());
    for (std::size_t i = 0; i < from.args.size(); ++i) {
      const TermId arg = from.args[i];
      const TileOperand operand = operand_of(arg, phase);
      if (i >= first_index) {
        data_.indices.push_back({operand, is_consecutive(terms_, arg, phase)});
      } else {
        instruction.args[i] = operand;
      }
    }
    // Operands end before the result begins: every instruction may work in place.
    for (const TermId arg : from.args) release(arg, phase, position);
    if (step.term >= 0) {
      cell(step.term, phase).place = place_of(step.term, phase);
      instruction.dest = cell(step.term, phase).place;
    }
    data_.instructions.push_back(instruction);
  }

  TileOperand place_of(TermId id, TilePhase phase) {
    if (cell(id, phase).in_tile) {
      return {phase == TilePhase::backward ? TilePlace::dout : TilePlace::score, 0};
    }
    if (phase == TilePhase::tile && terms_.is_saved(id)) {
      return {TilePlace::saved, checked16(saved_.take_fresh())};
    }
    return {place_in(phase), checked16(slots(phase).take())};
  }

  void release(TermId arg, TilePhase phase, int32_t position) {
    if (!is_here(arg, phase)) return;
    Cell& value = cell(arg, phase);
    if (value.exported || value.in_tile || value.last_reader != position) return;
    value.last_reader = -1;  // once, however often the instruction reads it
    slots(phase).give_back(value.place.slot);
  }

  static TilePlace place_in(TilePhase phase) {
    switch (phase) {
      case TilePhase::scalar: return TilePlace::scalar;
      case TilePhase::row: return TilePlace::row;
      case TilePhase::column: return TilePlace::column;
      case TilePhase::diagonal: return TilePlace::diagonal;
      case TilePhase::tile:
      case TilePhase::backward: return TilePlace::temp;
    }
    return TilePlace::none;
  }

  TileOperand operand_of(TermId id, TilePhase reader) {
    const Term& term = terms_[id];
    const TilePhase site = site_of(terms_, id, reader);
    TileOperand place = is_leaf(term.op) ? leaf(term, site) : cell(id, site).place;
    if (place.place == TilePlace::row && is_tile_site(reader)) {
      place = {TilePlace::row_broadcast, broadcast_of(place.slot)};
    }
    return place;
  }

  TileOperand leaf(const Term& term, TilePhase site) {
    if (term.op == Op::param) return scalar(TileScalar::Source::param, term.slot);
    if (term.op == Op::constant) return scalar(TileScalar::Source::bits, bits_of(term.literal));
    if (is_zero_at(term, site)) return scalar(TileScalar::Source::bits, 0);
    switch (static_cast<Input>(term.slot)) {
      case Input::score: break;
      case Input::dout: return {TilePlace::dout, 0};
      case Input::b: return scalar(TileScalar::Source::b, 0);
      case Input::h: return scalar(TileScalar::Source::h, 0);
      case Input::q:
        return index(site == TilePhase::row ? data_.code.q_row : data_.code.q_diagonal, site);
      case Input::kv: return index(data_.code.kv_column, site);
    }
    return {TilePlace::score, 0};
  }

  // Index vectors are read from anywhere later, so their slots are never given back.
  TileOperand index(int32_t& slot, TilePhase phase) {
    if (slot < 0) slot = slots(phase).take_fresh();
    return {place_in(phase), checked16(slot)};
  }

  TileOperand scalar(TileScalar::Source source, int32_t value) {
    const auto [known, is_new] = scalars_.try_emplace({source, value}, uint16_t{0});
    if (is_new) {
      known->second = checked16(slots(TilePhase::scalar).take_fresh());
      data_.scalars.push_back({source, known->second, static_cast<uint32_t>(value)});
    }
    return {TilePlace::scalar, known->second};
  }

  SlotAllocator& slots(TilePhase phase) { return slots_[static_cast<std::size_t>(phase)]; }

  uint16_t broadcast_of(uint16_t row_slot) {
    const auto [known, is_new] = broadcasts_.try_emplace(row_slot, uint16_t{0});
    if (is_new) {
      known->second = checked16(static_cast<int64_t>(data_.broadcast_rows.size()));
      data_.broadcast_rows.push_back(row_slot);
    }
    return known->second;
  }

  static uint16_t checked16(int64_t value) {
    if (value > std::numeric_limits<uint16_t>::max()) {
      throw Unsupported(
          "[lower] the program is too large: expected at most 65535 values of a shape "
          "class, got more",
          {"the program has more than 65535 values of one shape class"});
    }
    return static_cast<uint16_t>(value);
  }

  void finish() {
    TileCode& code = data_.code;
    code.instructions = data_.instructions.data();
    code.indices = data_.indices.data();
    code.scalars = data_.scalars.data();
    code.broadcast_rows = data_.broadcast_rows.data();
    code.scalar_count = static_cast<int32_t>(data_.scalars.size());
    code.row_broadcast_slots = static_cast<int32_t>(data_.broadcast_rows.size());
    code.scalar_slots = slots(TilePhase::scalar).count();
    code.row_slots = slots(TilePhase::row).count();
    code.column_slots = slots(TilePhase::column).count();
    code.diagonal_slots = slots(TilePhase::diagonal).count();
    code.saved_slots = saved_.count();
    code.contributions = static_cast<int32_t>(data_.contributions.size());
    const int32_t temps = slots(TilePhase::tile).count();
    const int32_t backward_temps = slots(TilePhase::backward).count();
    code.temp_slots = std::max(temps, backward_temps);
    code.chunk_elements = chunk(TilePhase::tile, temps);
    code.backward_chunk_elements = chunk(TilePhase::backward, backward_temps);
  }

  int32_t chunk(TilePhase phase, int32_t temps) const {
    const TileRange& range = data_.code.phases[static_cast<int>(phase)];
    if (temps > 0) return kChunkWithTemps;
    return range.end - range.begin > 1 ? kChunkInPlace : 0;
  }

  const Terms& terms_;
  TileProgram::Data& data_;
  std::vector<int32_t> uses_, backward_uses_;  // by term
  std::array<std::vector<Cell>, kTilePhases> cells_;
  std::vector<Selected> sums_;
  std::vector<bool> ordered_;
  std::array<std::vector<Step>, kTilePhases> steps_;
  std::array<std::size_t, kTilePhases> mask_begin_{};
  std::array<SlotAllocator, kTilePhases> slots_;
  SlotAllocator saved_;
  std::map<std::pair<TileScalar::Source, int32_t>, uint16_t> scalars_;
  std::map<uint16_t, uint16_t> broadcasts_;
};

}  // namespace

void emit(const Terms& terms, TileProgram::Data& data) { Emitter(terms, data).run(); }

}  // namespace fovea::cpu::lowering
