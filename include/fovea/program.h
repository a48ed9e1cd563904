// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fovea/export.h>
#include <fovea/hash.h>
#include <fovea/tensor.h>
#include <fovea/value.h>

/// Programs: what tracing a mod leaves behind.
namespace fovea {

enum class ModKind : uint8_t {
  score,   ///< (score, b, h, q, kv) -> new score, f32
  mask,    ///< (b, h, q, kv) -> may q attend to kv, bool
  weight,  ///< (w, b, h, q, kv) -> new weight, f32; w is what the softmax gives
};
FOVEA_API const char* name_of(ModKind kind) noexcept;  ///< "score_mod", "mask_mod", "weight_mod"

/// A number that a program takes at run time. Every literal of a mod becomes one, except those that
/// shape the code: divisors, moduli, shift counts, exponents, infinities, NaN, true and false.
struct Literal {
  ScalarType type = ScalarType::i32;
  int64_t i = 0;  ///< i32 and bool
  double f = 0;   ///< f32
};

namespace program {
class Graph;
}

/// An immutable program with the values it runs on: structure (shared, hashed), parameters and
/// captured tensors. Cheap to copy; a default-constructed Program is empty and means "no mod".
class FOVEA_API Program {
 public:
  Program() = default;
  Program(std::shared_ptr<const program::Graph> graph, std::vector<Literal> params,
          std::vector<TensorView> captures);

  explicit operator bool() const noexcept { return graph_ != nullptr; }
  ModKind kind() const;
  const program::Graph& graph() const;  ///< internal representation (src/program/graph.h)
  const std::shared_ptr<const program::Graph>& shared_graph() const noexcept { return graph_; }
  std::span<const Literal> params() const noexcept { return params_; }
  std::span<const TensorView> captures() const noexcept { return captures_; }
  Hash128 structure_hash() const;

  /// Text form. parse_program(to_string()) gives the same program back.
  std::string to_string() const;  ///< with the parameters' values
  std::string structure() const;  ///< without them: the key of every cache

 private:
  std::shared_ptr<const program::Graph> graph_;
  std::vector<Literal> params_;
  std::vector<TensorView> captures_;
};

/// Reads the text form (docs/program-text.md). A bare expression such as `q >= kv && q - kv < 256`
/// is a mask_mod, one that reads `score` a score_mod. `captures` are bound to t0, t1, ... in order.
/// InvalidArgument with line and column if the text does not parse.
FOVEA_API Program parse_program(std::string_view text, std::span<const TensorView> captures = {});

/// The same program after exact simplification (never changes a result bit).
FOVEA_API Program simplify(const Program& program);

/// What the backward pass of a score_mod or weight_mod computes, as text: `dout` is the gradient of
/// its result; `d t0[h] += ...` says what an element adds to a captured tensor's gradient, and along
/// what that can be summed. docs/derivatives.md has the rules. InvalidArgument for a mask_mod.
FOVEA_API std::string derivative_text(const Program& mod);

namespace detail {
FOVEA_API Program trace_score(const std::function<Value(Value, Value, Value, Value, Value)>& mod);
FOVEA_API Program trace_weight(const std::function<Value(Value, Value, Value, Value, Value)>& mod);
FOVEA_API Program trace_mask(const std::function<Value(Value, Value, Value, Value)>& mod);

template <class F>
inline constexpr bool kTakesFive = std::is_invocable_v<F&, Value, Value, Value, Value, Value>;
template <class F>
inline constexpr bool kTakesFour = std::is_invocable_v<F&, Value, Value, Value, Value>;
}  // namespace detail

/// Traces a score_mod: a callable (score, b, h, q, kv) -> score. b is the batch index, h the query
/// head, q and kv the positions; `score` is q.k * scale. InvalidArgument if the result is a bool.
template <class F>
Program score_mod(F&& mod) {
  static_assert(detail::kTakesFive<F>,
                "fovea: a score_mod takes five parameters: (score, b, h, q, kv)");
  return detail::trace_score(
      [&](Value s, Value b, Value h, Value q, Value kv) -> Value { return mod(s, b, h, q, kv); });
}

/// Traces a mask_mod: a callable (b, h, q, kv) -> bool. InvalidArgument if the result is no bool.
template <class F>
Program mask_mod(F&& mod) {
  static_assert(detail::kTakesFour<F>, "fovea: a mask_mod takes four parameters: (b, h, q, kv)");
  return detail::trace_mask(
      [&](Value b, Value h, Value q, Value kv) -> Value { return mod(b, h, q, kv); });
}

/// Traces a weight_mod: a callable (w, b, h, q, kv) -> weight, applied after the softmax, which it
/// does not renormalise: out = sum over kv of weight_mod(w) v. Dropout, gates and value scores are
/// such. What is masked contributes nothing, whatever it gives for w = 0. InvalidArgument if the
/// result is a bool.
template <class F>
Program weight_mod(F&& mod) {
  static_assert(detail::kTakesFive<F>,
                "fovea: a weight_mod takes five parameters: (w, b, h, q, kv)");
  return detail::trace_weight(
      [&](Value w, Value b, Value h, Value q, Value kv) -> Value { return mod(w, b, h, q, kv); });
}

/// Traces a score_mod or a mask_mod; the number of parameters decides.
template <class F>
Program trace(F&& mod) {
  static_assert(detail::kTakesFive<F> || detail::kTakesFour<F>,
                "fovea: a mod takes (score, b, h, q, kv) or (b, h, q, kv)");
  if constexpr (detail::kTakesFive<F>) {
    return score_mod(std::forward<F>(mod));
  } else {
    return mask_mod(std::forward<F>(mod));
  }
}

/// outer(inner(x, b, h, q, kv), b, h, q, kv): one score_mod or weight_mod of two, of one kind. The captured
/// tensors and parameters of both are kept. InvalidArgument for a mask_mod, an empty program and two kinds.
FOVEA_API Program compose(const Program& outer, const Program& inner);

/// Masks combined. The captured tensors and parameters of both are kept.
FOVEA_API Program and_masks(const Program& a, const Program& b);
FOVEA_API Program or_masks(const Program& a, const Program& b);
FOVEA_API Program not_mask(const Program& a);

}  // namespace fovea
