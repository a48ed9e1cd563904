// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>

#include <fovea/program.h>
#include "core/fail.h"
#include "program/builder.h"

namespace fovea {

using program::Builder;
using program::Input;
using program::NodeId;
using program::Op;

namespace {

Builder& check_mask(Builder& builder, const Program& program, const char* where) {
  if (!program || program.kind() != ModKind::mask) {
    core::fail_argument(where, "operand", "a mask_mod",
                        program ? std::string("a ") + name_of(program.kind()) : "an empty Program");
  }
  return builder;
}

Program combine(Op op, const Program& a, const Program& b, const char* where) {
  Builder builder(ModKind::mask);
  const NodeId left = check_mask(builder, a, where).import(a);
  const NodeId right = check_mask(builder, b, where).import(b);
  return builder.finish(builder.make(op, {left, right}));
}

Program trace_five(ModKind kind,
                   const std::function<Value(Value, Value, Value, Value, Value)>& mod) {
  Builder builder(kind);
  const Builder::Scope scope(builder);
  const auto in = [&builder](Input input) { return builder.wrap(builder.input(input)); };
  const Value result =
      mod(in(Input::score), in(Input::b), in(Input::h), in(Input::q), in(Input::kv));
  return builder.finish(builder.unwrap(result));
}

}  // namespace

Program detail::trace_score(const std::function<Value(Value, Value, Value, Value, Value)>& mod) {
  return trace_five(ModKind::score, mod);
}

Program detail::trace_weight(const std::function<Value(Value, Value, Value, Value, Value)>& mod) {
  return trace_five(ModKind::weight, mod);
}

Program detail::trace_mask(const std::function<Value(Value, Value, Value, Value)>& mod) {
  Builder builder(ModKind::mask);
  const Builder::Scope scope(builder);
  const auto in = [&builder](Input input) { return builder.wrap(builder.input(input)); };
  const Value result = mod(in(Input::b), in(Input::h), in(Input::q), in(Input::kv));
  return builder.finish(builder.unwrap(result));
}

Program compose(const Program& outer, const Program& inner) {
  constexpr const char* kWhere = "compose";
  const auto kind_of = [](const Program& program) {
    return program ? name_of(program.kind()) : "an empty Program";
  };
  core::require(inner && inner.kind() != ModKind::mask, kWhere, "inner program",
                "a score_mod or weight_mod", kind_of(inner));
  core::require(outer && outer.kind() == inner.kind(), kWhere, "outer program",
                std::string("a ") + kind_of(inner), kind_of(outer));
  Builder builder(inner.kind());
  std::array<NodeId, program::kInputs> inputs;
  inputs.fill(-1);
  inputs[static_cast<std::size_t>(Input::score)] = builder.import(inner);
  return builder.finish(builder.import(outer, inputs));
}

Program and_masks(const Program& a, const Program& b) {
  return combine(Op::logical_and, a, b, "and_masks");
}

Program or_masks(const Program& a, const Program& b) {
  return combine(Op::logical_or, a, b, "or_masks");
}

Program not_mask(const Program& a) {
  Builder builder(ModKind::mask);
  const NodeId operand = check_mask(builder, a, "not_mask").import(a);
  return builder.finish(builder.make(Op::logical_not, {operand}));
}

}  // namespace fovea
