// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/lower.h"

#include <array>
#include <bit>
#include <limits>
#include <memory>
#include <utility>

#include <fovea/error.h>
#include "cpu/attention/lower_allocate.h"

namespace fovea::cpu {
namespace lowering {
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

/// Emits a joint program: marks what each phase must compute, orders it, gives it places.
class Emitter {
 public:
  Emitter(const Joint& joint, TileProgram::Data& data)
      : joint_(joint), data_(data), uses_(count_uses(joint)) {
    for (auto& phase : cells_) phase.resize(static_cast<std::size_t>(joint.size()));
  }

  void run() {
    mark();
    for (int p = 0; p < kTilePhases; ++p) order(static_cast<TilePhase>(p));
    place_score_chain();
    for (int p = 0; p < kTilePhases; ++p) emit(static_cast<TilePhase>(p));
    finish();
  }

 private:
  enum class Need : uint8_t { none, by_mask, by_score };

  // A term at a site.
  struct Cell {
    Need need = Need::none;
    bool exported = false;  // a later phase reads it
    bool in_score = false;
    int32_t readers = 0;  // in its own phase
    int32_t last_reader = -1;
    int32_t position = -1;
    TileOperand place;
    Selected selected;
  };

  Cell& cell(TermId id, TilePhase phase) {
    return cells_[static_cast<std::size_t>(phase)][static_cast<std::size_t>(id)];
  }

  static std::vector<int32_t> count_uses(const Joint& joint) {
    std::vector<int32_t> uses(static_cast<std::size_t>(joint.size()));
    const auto use = [&](TermId id) -> int32_t& { return uses[static_cast<std::size_t>(id)]; };
    ++use(joint.root);
    ++use(joint.score_root);  // never absorbed: it ends the score part
    for (TermId id = joint.size() - 1; id >= 0; --id) {
      if (use(id) == 0) continue;
      for (const TermId arg : joint[id].args) ++use(arg);
    }
    return uses;
  }

  void mark() {
    cell(joint_.root, TilePhase::tile).need = Need::by_mask;
    cell(joint_.score_root, TilePhase::tile).need = Need::by_score;
    for (TermId id = joint_.size() - 1; id >= 0; --id) {
      for (int p = kTilePhases - 1; p >= 0; --p) mark_operands(id, static_cast<TilePhase>(p));
    }
  }

  void mark_operands(TermId id, TilePhase phase) {
    Cell& reader = cell(id, phase);
    if (reader.need == Need::none || is_leaf(joint_[id].op)) return;
    reader.selected = select(joint_, id, phase, uses_);
    for (const TermId arg : reader.selected.args) {
      Cell& read = cell(arg, site_of(joint_[arg], phase));
      if (read.need < reader.need) read.need = reader.need;
    }
  }

  // What the score needs comes first, so that a tile without a mask stops there.
  void order(TilePhase phase) {
    std::vector<TermId>& ids = order_[static_cast<std::size_t>(phase)];
    for (const Need need : {Need::by_score, Need::by_mask}) {
      if (need == Need::by_mask) mask_begin_[static_cast<std::size_t>(phase)] = ids.size();
      for (TermId id = 0; id < joint_.size(); ++id) {
        if (cell(id, phase).need == need && !is_leaf(joint_[id].op)) ids.push_back(id);
      }
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      cell(ids[i], phase).position = static_cast<int32_t>(i);
      for (const TermId arg : cell(ids[i], phase).selected.args) {
        read(arg, phase, static_cast<int32_t>(i));
      }
    }
  }

  void read(TermId arg, TilePhase phase, int32_t position) {
    const TilePhase site = site_of(joint_[arg], phase);
    Cell& value = cell(arg, site);
    if (site != phase) {
      value.exported = true;
    } else {
      ++value.readers;
      value.last_reader = position;
    }
  }

  // The result must end in the caller's tile. Going back from it, whatever has one reader and is
  // computed after the last use of the original scores may lie there too.
  void place_score_chain() {
    TermId id = joint_.root;
    for (; id != joint_.score_root; id = joint_[id].args[1]) {
      cell(id, TilePhase::tile).in_score = true;
    }
    const Cell& scores = cell(joint_input_score(), TilePhase::tile);
    while (!is_leaf(joint_[id].op)) {
      Cell& value = cell(id, TilePhase::tile);
      value.in_score = true;
      TermId next = -1;
      for (const TermId arg : value.selected.args) {
        if (site_of(joint_[arg], TilePhase::tile) != TilePhase::tile || is_leaf(joint_[arg].op)) {
          continue;
        }
        const Cell& candidate = cell(arg, TilePhase::tile);
        if (candidate.readers != 1 || candidate.position < scores.last_reader) continue;
        if (next < 0 || candidate.position > cell(next, TilePhase::tile).position) next = arg;
      }
      if (next < 0) break;
      id = next;
    }
  }

  TermId joint_input_score() const { return 0; }  // join() adds it first

  void emit(TilePhase phase) {
    const std::size_t p = static_cast<std::size_t>(phase);
    TileRange& range = data_.code.phases[p];
    range.begin = static_cast<uint32_t>(data_.instructions.size());
    SlotAllocator& slots = slots_[p];
    for (std::size_t i = 0; i < order_[p].size(); ++i) {
      if (i == mask_begin_[p]) range.mask = static_cast<uint32_t>(data_.instructions.size());
      emit_one(order_[p][i], phase, slots, static_cast<int32_t>(i));
    }
    range.end = static_cast<uint32_t>(data_.instructions.size());
    if (mask_begin_[p] == order_[p].size()) range.mask = range.end;
  }

  void emit_one(TermId id, TilePhase phase, SlotAllocator& slots, int32_t position) {
    Cell& value = cell(id, phase);
    TileInstruction instruction;
    instruction.op = value.selected.op;
    const bool gathers = instruction.op == TileOp::gather;
    if (gathers) {
      instruction.capture = checked16(joint_[id].slot);
      instruction.index_count = checked16(static_cast<int64_t>(value.selected.args.size()));
      instruction.first_index = static_cast<uint32_t>(data_.indices.size());
    }
    for (std::size_t i = 0; i < value.selected.args.size(); ++i) {
      const TermId arg = value.selected.args[i];
      const TileOperand operand = operand_of(arg, phase);
      if (gathers) {
        data_.indices.push_back({operand, is_consecutive(joint_, arg, phase)});
      } else {
        instruction.args[i] = operand;
      }
    }
    // Operands end before the result begins: every instruction may work in place.
    for (const TermId arg : value.selected.args) release(arg, phase, slots, position);
    value.place = value.in_score ? TileOperand{TilePlace::score, 0}
                                 : TileOperand{place_in(phase), checked16(slots.take())};
    instruction.dest = value.place;
    data_.instructions.push_back(instruction);
  }

  void release(TermId arg, TilePhase phase, SlotAllocator& slots, int32_t position) {
    if (is_leaf(joint_[arg].op) || site_of(joint_[arg], phase) != phase) return;
    Cell& value = cell(arg, phase);
    if (value.exported || value.in_score || value.last_reader != position) return;
    value.last_reader = -1;  // once, however often the instruction reads it
    slots.give_back(value.place.slot);
  }

  static TilePlace place_in(TilePhase phase) {
    switch (phase) {
      case TilePhase::scalar: return TilePlace::scalar;
      case TilePhase::row: return TilePlace::row;
      case TilePhase::column: return TilePlace::column;
      case TilePhase::diagonal: return TilePlace::diagonal;
      case TilePhase::tile: return TilePlace::temp;
    }
    return TilePlace::none;
  }

  TileOperand operand_of(TermId id, TilePhase reader) {
    const Term& term = joint_[id];
    const TilePhase site = site_of(term, reader);
    TileOperand place = is_leaf(term.op) ? leaf(term, site) : cell(id, site).place;
    if (place.place == TilePlace::row && reader == TilePhase::tile) {
      place = {TilePlace::row_broadcast, broadcast_of(place.slot)};
    }
    return place;
  }

  TileOperand leaf(const Term& term, TilePhase site) {
    if (term.op == Op::param) return scalar(TileScalar::Source::param, term.slot);
    if (term.op == Op::constant) return scalar(TileScalar::Source::bits, bits_of(term.literal));
    if (is_zero_at(term, site)) return scalar(TileScalar::Source::bits, 0);
    switch (static_cast<Input>(term.slot)) {
      case Input::score:
      case Input::dout: break;
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
    if (slot < 0) slot = slots_[static_cast<std::size_t>(phase)].take_fresh();
    return {place_in(phase), checked16(slot)};
  }

  TileOperand scalar(TileScalar::Source source, int32_t value) {
    const auto [known, is_new] = scalars_.try_emplace({source, value}, uint16_t{0});
    if (is_new) {
      known->second = checked16(slots_[0].take_fresh());
      data_.scalars.push_back({source, known->second, static_cast<uint32_t>(value)});
    }
    return {TilePlace::scalar, known->second};
  }

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
    code.scalar_slots = slots_[0].count();
    code.row_slots = slots_[1].count();
    code.column_slots = slots_[2].count();
    code.diagonal_slots = slots_[3].count();
    code.temp_slots = slots_[4].count();
    const TileRange tile = code.phases[static_cast<int>(TilePhase::tile)];
    if (code.temp_slots > 0) {
      code.chunk_elements = kChunkWithTemps;
    } else if (tile.end - tile.begin > 1) {
      code.chunk_elements = kChunkInPlace;
    }
  }

  const Joint& joint_;
  TileProgram::Data& data_;
  std::vector<int32_t> uses_;
  std::array<std::vector<Cell>, kTilePhases> cells_;
  std::array<std::vector<TermId>, kTilePhases> order_;
  std::array<std::size_t, kTilePhases> mask_begin_{};
  std::array<SlotAllocator, kTilePhases> slots_;
  std::map<std::pair<TileScalar::Source, int32_t>, uint16_t> scalars_;
  std::map<uint16_t, uint16_t> broadcasts_;
};

}  // namespace
}  // namespace lowering

TileProgram lower(const Program& score_mod, const Program& mask_mod) {
  auto data = std::make_shared<TileProgram::Data>();
  const auto count = [](const Program& program, bool captures) -> int32_t {
    if (!program) return 0;
    const program::Graph& graph = program.graph();
    return static_cast<int32_t>(captures ? graph.captures.size() : graph.params.size());
  };
  data->score_params = count(score_mod, false);
  data->score_captures = count(score_mod, true);
  data->params = data->score_params + count(mask_mod, false);
  data->captures = data->score_captures + count(mask_mod, true);
  const lowering::Joint joint = lowering::join(score_mod, mask_mod);
  lowering::Emitter(joint, *data).run();
  return TileProgram(std::move(data));
}

TileProgram::TileProgram() : data_(std::make_shared<Data>()) {}
TileProgram::TileProgram(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

const TileCode& TileProgram::code() const noexcept { return data_->code; }
const TileCode& code_of(const TileProgram& program) noexcept { return program.code(); }

int32_t TileProgram::param_count() const noexcept { return data_->params; }
int32_t TileProgram::capture_count() const noexcept { return data_->captures; }

bool TileProgram::empty() const noexcept {
  const TileRange& tile = data_->code.phases[static_cast<int>(TilePhase::tile)];
  return tile.begin == tile.end;
}

bool TileProgram::has_mask() const noexcept {
  const TileRange& tile = data_->code.phases[static_cast<int>(TilePhase::tile)];
  return tile.mask != tile.end;
}

}  // namespace fovea::cpu
