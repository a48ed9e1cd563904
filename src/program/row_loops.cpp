// SPDX-License-Identifier: Apache-2.0
#include "program/row_loops.h"

#include <string>
#include <type_traits>

#include <fovea/error.h>
#include "program/fold.h"

namespace fovea::program {

namespace {

template <class In, class Out, class F>
uint64_t loop_1(const RowArgs& args, int64_t count, F f) {
  const In* __restrict a = static_cast<const In*>(args.operands[0]);
  Out* __restrict out = static_cast<Out*>(args.out);
  uint64_t fault = 0;
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<Out>(f(a[i], fault));
  return fault;
}

template <class In, class Out, class F>
uint64_t loop_2(const RowArgs& args, int64_t count, F f) {
  const In* __restrict a = static_cast<const In*>(args.operands[0]);
  const In* __restrict b = static_cast<const In*>(args.operands[1]);
  Out* __restrict out = static_cast<Out*>(args.out);
  uint64_t fault = 0;
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<Out>(f(a[i], b[i], fault));
  return fault;
}

template <Op op>
uint64_t integers_3(const RowArgs& args, int64_t count) {
  const auto* __restrict a = static_cast<const int64_t*>(args.operands[0]);
  const auto* __restrict b = static_cast<const int64_t*>(args.operands[1]);
  const auto* __restrict c = static_cast<const int64_t*>(args.operands[2]);
  auto* __restrict out = static_cast<int64_t*>(args.out);
  uint64_t fault = 0;
  for (int64_t i = 0; i < count; ++i) out[i] = Fold<op>::ints(a[i], b[i], c[i], fault);
  return fault;
}

template <class T>
uint64_t select(const RowArgs& args, int64_t count) {
  const auto* __restrict condition = static_cast<const uint8_t*>(args.operands[0]);
  const T* __restrict a = static_cast<const T*>(args.operands[1]);
  const T* __restrict b = static_cast<const T*>(args.operands[2]);
  T* __restrict out = static_cast<T*>(args.out);
  for (int64_t i = 0; i < count; ++i) out[i] = condition[i] != 0 ? a[i] : b[i];
  return 0;
}

template <Op op, class T>
uint64_t numbers(const RowArgs& args, int64_t count) {
  if constexpr (std::is_same_v<T, double>) {
    if constexpr (requires { Fold<op>::floats(0.0); }) {
      return loop_1<T, T>(args, count, [](T a, uint64_t&) { return Fold<op>::floats(a); });
    } else {
      return loop_2<T, T>(args, count, [](T a, T b, uint64_t&) { return Fold<op>::floats(a, b); });
    }
  } else {
    uint64_t unused = 0;
    if constexpr (requires { Fold<op>::ints(0, unused); }) {
      return loop_1<T, T>(args, count, [](T a, uint64_t& f) { return Fold<op>::ints(a, f); });
    } else {
      return loop_2<T, T>(args, count,
                          [](T a, T b, uint64_t& f) { return Fold<op>::ints(a, b, f); });
    }
  }
}

template <class T>
uint64_t to_float(const RowArgs& args, int64_t count) {
  return loop_1<T, double>(args, count, [](T a, uint64_t&) { return static_cast<double>(a); });
}

template <class T>
uint64_t to_int(const RowArgs& args, int64_t count) {
  return loop_1<T, int64_t>(args, count, [](T a, uint64_t&) -> int64_t {
    if constexpr (std::is_same_v<T, double>) return fold_to_int(a);
    return static_cast<int64_t>(a);
  });
}

template <class T>
uint64_t to_bool(const RowArgs& args, int64_t count) {
  return loop_1<T, uint8_t>(args, count, [](T a, uint64_t&) { return a != 0; });
}

template <Op op, class T>
uint64_t compare(const RowArgs& args, int64_t count) {
  return loop_2<T, uint8_t>(args, count,
                            [](T a, T b, uint64_t&) { return Fold<op>::template holds<T>(a, b); });
}

template <Op op, class T>
constexpr bool is_allowed() {
  constexpr Rule kRule = rule_of(op);
  constexpr bool kFloat = std::is_same_v<T, double>;
  constexpr bool kBool = std::is_same_v<T, uint8_t>;
  switch (kRule) {
    case Rule::arithmetic: return !kBool;
    case Rule::floating: return kFloat;
    case Rule::integer: return !kFloat && !kBool;
    case Rule::bitwise: return !kFloat;
    case Rule::logical: return kBool;
    case Rule::comparison:
    case Rule::select:
    case Rule::to_f32:
    case Rule::to_i32:
    case Rule::to_bool: return true;
    case Rule::leaf:
    case Rule::gather: return false;
  }
  return false;
}

template <Op op, class T>
RowLoop loop_of() {
  constexpr Rule kRule = rule_of(op);
  if constexpr (!is_allowed<op, T>()) {
    return nullptr;
  } else if constexpr (kRule == Rule::comparison) {
    return compare<op, T>;
  } else if constexpr (kRule == Rule::select) {
    return select<T>;
  } else if constexpr (kRule == Rule::to_f32) {
    return to_float<T>;
  } else if constexpr (kRule == Rule::to_i32) {
    return to_int<T>;
  } else if constexpr (kRule == Rule::to_bool) {
    return to_bool<T>;
  } else if constexpr (fixed_arity(op) == 3) {
    return integers_3<op>;
  } else {
    return numbers<op, T>;
  }
}

template <Op op>
RowLoop loop_of(ScalarType type) {
  switch (type) {
    case ScalarType::f32: return loop_of<op, double>();
    case ScalarType::i32: return loop_of<op, int64_t>();
    case ScalarType::boolean: return loop_of<op, uint8_t>();
  }
  return nullptr;
}

RowLoop find_loop(Op op, ScalarType type) {
  switch (op) {
#define FOVEA_OP(name, arity, rule, spelling, cuda) \
  case Op::name: return loop_of<Op::name>(type);
#include "program/ops.def"
#undef FOVEA_OP
  }
  return nullptr;
}

}  // namespace

RowLoop row_loop_of(Op op, ScalarType type) {
  const RowLoop loop = find_loop(op, type);
  if (loop == nullptr) {
    throw InternalError(std::string("[program] row loop: expected an operation on ") +
                        name_of(type) + ", got " + name_of(op));
  }
  return loop;
}

}  // namespace fovea::program
