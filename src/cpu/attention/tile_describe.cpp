// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cstdio>
#include <span>
#include <string>

#include "cpu/attention/lower.h"

namespace fovea::cpu {
namespace {

using Data = TileProgram::Data;

const char* text_of(TileOp op) {
  switch (op) {
#define FOVEA_TILE_OP(name, operands, text) \
  case TileOp::name: return text;
#include "cpu/attention/tile_ops.def"
#undef FOVEA_TILE_OP
  }
  return "?";
}

// Parameters and captures are named as in their own program's text.
std::string numbered(const char* letter, uint32_t number, int32_t of_score) {
  const auto first = static_cast<uint32_t>(of_score);
  if (number < first) return letter + std::to_string(number);
  return std::string("mask.") + letter + std::to_string(number - first);
}

std::string literal(uint32_t bits) {
  const auto integer = static_cast<int32_t>(bits);
  if (integer > -65536 && integer < 65536) return std::to_string(integer);
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(std::bit_cast<float>(bits)));
  return text;
}

std::string scalar_name(const Data& data, uint16_t slot) {
  for (const TileScalar& scalar : data.scalars) {
    if (scalar.slot != slot) continue;
    switch (scalar.source) {
      case TileScalar::Source::b: return "b";
      case TileScalar::Source::h: return "h";
      case TileScalar::Source::param: return numbered("p", scalar.value, data.score_params);
      case TileScalar::Source::bits: return literal(scalar.value);
    }
  }
  return "s" + std::to_string(slot);
}

std::string slot_name(const char* letter, int32_t slot, int32_t index_slot,
                      const char* index_name) {
  return slot == index_slot ? index_name : letter + std::to_string(slot);
}

std::string name_of(const Data& data, TileOperand operand) {
  const TileCode& code = data.code;
  const int32_t slot = operand.slot;
  switch (operand.place) {
    case TilePlace::none: return "?";
    case TilePlace::scalar: return scalar_name(data, operand.slot);
    case TilePlace::row: return slot_name("r", slot, code.q_row, "q");
    case TilePlace::row_broadcast:
      return slot_name("r", data.broadcast_rows[operand.slot], code.q_row, "q");
    case TilePlace::column: return slot_name("c", slot, code.kv_column, "kv");
    case TilePlace::diagonal: return slot_name("d", slot, code.q_diagonal, "q-kv");
    case TilePlace::temp: return "t" + std::to_string(slot);
    case TilePlace::score: return "score";
    case TilePlace::saved: return "saved" + std::to_string(slot);
    case TilePlace::dout: return "dout";
  }
  return "?";
}

std::string index_text(const Data& data, const TileInstruction& instruction) {
  std::string text = "[";
  const auto indices =
      std::span(data.indices).subspan(instruction.first_index, instruction.index_count);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (i > 0) text += ", ";
    text += name_of(data, indices[i].operand);
  }
  return text + "]";
}

// Along what a contribution is summed, and what is added.
std::string contribution_text(const Data& data, const TileInstruction& instruction) {
  const TileContribution& to = data.contributions[instruction.capture];
  std::string text = "d " + std::string(to.of_param ? "p" : "t") + std::to_string(to.slot);
  if (instruction.op == TileOp::scatter) text += index_text(data, instruction);
  if (instruction.op == TileOp::sum_rows) text += " by rows";
  if (instruction.op == TileOp::sum_columns) text += " by columns";
  if (instruction.op == TileOp::sum_diagonals) text += " by diagonals";
  text += " += " + name_of(data, instruction.args[0]);
  if (instruction.args[1].place == TilePlace::none) return text;
  return text + " * " + name_of(data, instruction.args[1]);
}

std::string instruction_text(const Data& data, const TileInstruction& instruction) {
  if (instruction.dest.place == TilePlace::none) return contribution_text(data, instruction);
  std::string text = name_of(data, instruction.dest) + " = ";
  if (instruction.op == TileOp::gather) {
    return text + numbered("t", instruction.capture, data.score_captures) +
           index_text(data, instruction);
  }
  for (const char* p = text_of(instruction.op); *p != '\0'; ++p) {
    if (*p == '$') {
      ++p;
      text += name_of(data, instruction.args[*p - '0']);
    } else {
      text += *p;
    }
  }
  return text;
}

const char* title_of(TilePhase phase) {
  switch (phase) {
    case TilePhase::scalar: return "scalar, once a head";
    case TilePhase::row: return "row, once a block of rows";
    case TilePhase::column: return "column, once a tile";
    case TilePhase::diagonal: return "diagonal, once a tile";
    case TilePhase::tile: return "tile, every element";
    case TilePhase::backward: return "backward, every element";
  }
  return "?";
}

}  // namespace

std::string TileProgram::describe() const {
  const Data& data = *data_;
  std::string text;
  for (int p = 0; p < kTilePhases; ++p) {
    const TileRange& range = data.code.phases[p];
    if (range.begin == range.end) continue;
    text += title_of(static_cast<TilePhase>(p)) + std::string(":\n");
    for (uint32_t k = range.begin; k < range.end; ++k) {
      text += "  " + instruction_text(data, data.instructions[k]);
      text += k >= range.mask ? "  (mask)\n" : "\n";
    }
  }
  return text.empty() ? "nothing to run\n" : text;
}

}  // namespace fovea::cpu
