// SPDX-License-Identifier: Apache-2.0
#include "program/graph.h"

#include <array>

namespace fovea {

const char* name_of(ScalarType type) noexcept {
  switch (type) {
    case ScalarType::f32: return "f32";
    case ScalarType::i32: return "i32";
    case ScalarType::boolean: return "bool";
  }
  return "?";
}

const char* name_of(ModKind kind) noexcept {
  switch (kind) {
    case ModKind::score: return "score_mod";
    case ModKind::mask: return "mask_mod";
    case ModKind::weight: return "weight_mod";
  }
  return "?";
}

namespace program {

namespace {

struct OpInfo {
  const char* name;
  int arity;
  const char* spelling;
  const char* cuda;
};

constexpr std::array kOps = {
#define FOVEA_OP(name, arity, rule, spelling, cuda) OpInfo{#name, arity, spelling, cuda},
#include "program/ops.def"
#undef FOVEA_OP
};

const OpInfo& info(Op op) noexcept { return kOps[static_cast<std::size_t>(op)]; }

}  // namespace

const char* name_of(Op op) noexcept { return info(op).name; }
int arity_of(Op op) noexcept { return info(op).arity; }
const char* spelling_of(Op op) noexcept { return info(op).spelling; }
const char* cuda_of(Op op) noexcept { return info(op).cuda; }

const char* name_of(Input input, ModKind kind) noexcept {
  switch (input) {
    case Input::score: return kind == ModKind::weight ? "w" : "score";
    case Input::b: return "b";
    case Input::h: return "h";
    case Input::q: return "q";
    case Input::kv: return "kv";
    case Input::dout: return "dout";
  }
  return "?";
}

ScalarType scalar_type_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::f64:
    case DType::f32:
    case DType::bf16:
    case DType::f16: return ScalarType::f32;
    case DType::i64:
    case DType::i32:
    case DType::i16:
    case DType::i8:
    case DType::u8: return ScalarType::i32;
    case DType::boolean: return ScalarType::boolean;
  }
  return ScalarType::i32;
}

}  // namespace program
}  // namespace fovea
