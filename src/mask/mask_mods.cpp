// SPDX-License-Identifier: Apache-2.0
#include "mask/mask_mods.h"

#include <algorithm>
#include <array>
#include <vector>

#include "program/builder.h"

namespace fovea::mask {

using program::Builder;
using program::Input;
using program::NodeId;
using program::Op;

namespace {

constexpr std::size_t at(Input input) { return static_cast<std::size_t>(input); }

bool reads_q(const Program& mod) {
  return std::ranges::any_of(mod.graph().nodes, [](const program::Node& node) {
    return node.op == Op::input && node.slot == static_cast<int32_t>(Input::q);
  });
}

// The offset is the builder's first parameter; the canonical order puts it elsewhere.
void make_shifted(const Program& mod, ShiftedMod& shifted) {
  Builder builder(ModKind::mask);
  const NodeId offset = builder.param({.type = ScalarType::i32, .i = 0, .f = 0});
  std::array<NodeId, 5> inputs{-1, -1, -1, -1, -1};
  inputs[at(Input::q)] = builder.make(Op::add, {builder.input(Input::q), offset});
  const NodeId root = builder.import(mod, inputs);
  const auto slots = builder.finish_graph(root, ModKind::mask).params;
  shifted.program = builder.finish(root);
  const auto found = std::find(slots.begin(), slots.end(), 0);
  if (found != slots.end()) shifted.offset_slot = static_cast<int32_t>(found - slots.begin());
}

}  // namespace

Program allow_all() {
  Builder builder(ModKind::mask);
  return builder.finish(builder.constant({.type = ScalarType::boolean, .i = 1, .f = 0}));
}

Program exchange_axes(const Program& mod) {
  Builder builder(ModKind::mask);
  std::array<NodeId, 5> inputs{-1, -1, -1, -1, -1};
  inputs[at(Input::q)] = builder.input(Input::kv);
  inputs[at(Input::kv)] = builder.input(Input::q);
  return builder.finish(builder.import(mod, inputs));
}

Program shift_queries(const Program& mod, ShiftedMod& shifted, int64_t offset) {
  if (!reads_q(mod)) return mod;
  std::call_once(shifted.once, [&] { make_shifted(mod, shifted); });
  const auto old_params = shifted.program.params();
  const auto captures = shifted.program.captures();
  std::vector<Literal> params(old_params.begin(), old_params.end());
  if (shifted.offset_slot >= 0) params[static_cast<std::size_t>(shifted.offset_slot)].i = offset;
  return Program(shifted.program.shared_graph(), std::move(params),
                 {captures.begin(), captures.end()});
}

}  // namespace fovea::mask
