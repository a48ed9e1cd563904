// SPDX-License-Identifier: Apache-2.0
#include "program/fold.h"

#include <string>

#include <fovea/error.h>

namespace fovea::program {

namespace {

Literal make(ScalarType type, int64_t value) { return {type, value, 0}; }

template <Op op>
Literal fold_numbers(std::span<const Literal> args, uint64_t& fault) {
  static_assert(sizeof(Fold<op>) > 0, "fold.h says what each operation means");
  const bool floats = args[0].type == ScalarType::f32;
  if constexpr (fixed_arity(op) == 1) {
    if constexpr (requires { Fold<op>::floats(0.0); }) {
      if (floats) return make_float(Fold<op>::floats(args[0].f));
    }
    if constexpr (requires { Fold<op>::ints(0, fault); }) {
      return make(args[0].type, Fold<op>::ints(args[0].i, fault));
    }
  } else if constexpr (fixed_arity(op) == 3) {
    return make(args[0].type, Fold<op>::ints(args[0].i, args[1].i, args[2].i, fault));
  } else {
    if constexpr (requires { Fold<op>::floats(0.0, 0.0); }) {
      if (floats) return make_float(Fold<op>::floats(args[0].f, args[1].f));
    }
    if constexpr (requires { Fold<op>::ints(0, 0, fault); }) {
      return make(args[0].type, Fold<op>::ints(args[0].i, args[1].i, fault));
    }
  }
  throw InternalError(std::string("[program] fold: expected matching types, got ") +
                      name_of(args[0].type) + " for " + name_of(op));
}

Literal convert(const Literal& from, ScalarType to) {
  const bool floats = from.type == ScalarType::f32;
  switch (to) {
    case ScalarType::f32: return make_float(floats ? from.f : static_cast<double>(from.i));
    case ScalarType::i32: return make_int(floats ? fold_to_int(from.f) : from.i);
    case ScalarType::boolean: return make_bool(floats ? fold_to_bool(from.f) : from.i != 0);
  }
  return {};
}

template <Op op>
Literal fold_one(std::span<const Literal> args, uint64_t& fault) {
  constexpr Rule kRule = rule_of(op);
  if constexpr (kRule == Rule::to_f32) {
    return convert(args[0], ScalarType::f32);
  } else if constexpr (kRule == Rule::to_i32) {
    return convert(args[0], ScalarType::i32);
  } else if constexpr (kRule == Rule::to_bool) {
    return convert(args[0], ScalarType::boolean);
  } else if constexpr (kRule == Rule::select) {
    return args[0].i != 0 ? args[1] : args[2];
  } else if constexpr (kRule == Rule::comparison) {
    return make_bool(args[0].type == ScalarType::f32 ? Fold<op>::holds(args[0].f, args[1].f)
                                                     : Fold<op>::holds(args[0].i, args[1].i));
  } else if constexpr (kRule == Rule::leaf || kRule == Rule::gather) {
    throw InternalError(std::string("[program] fold: expected an operation, got ") + name_of(op));
  } else {
    return fold_numbers<op>(args, fault);
  }
}

}  // namespace

Literal fold(Op op, std::span<const Literal> args, uint64_t& fault) {
  switch (op) {
#define FOVEA_OP(name, arity, rule, spelling, cuda) \
  case Op::name: return fold_one<Op::name>(args, fault);
#include "program/ops.def"
#undef FOVEA_OP
  }
  return {};
}

}  // namespace fovea::program
