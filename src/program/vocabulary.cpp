// SPDX-License-Identifier: Apache-2.0
#include "program/vocabulary.h"

#include <array>
#include <charconv>
#include <system_error>

#include "program/fold.h"
#include "program/types.h"

namespace fovea::program {

namespace {

struct Infix {
  std::string_view symbol;
  Precedence precedence;
};

constexpr std::array<Infix, 18> kInfix = {{{"||", Precedence::logical_or},
                                           {"&&", Precedence::logical_and},
                                           {"|", Precedence::bit_or},
                                           {"^", Precedence::bit_xor},
                                           {"&", Precedence::bit_and},
                                           {"==", Precedence::equality},
                                           {"!=", Precedence::equality},
                                           {"<", Precedence::relation},
                                           {"<=", Precedence::relation},
                                           {">", Precedence::relation},
                                           {">=", Precedence::relation},
                                           {"<<", Precedence::shift},
                                           {">>", Precedence::shift},
                                           {"+", Precedence::sum},
                                           {"-", Precedence::sum},
                                           {"*", Precedence::product},
                                           {"/", Precedence::product},
                                           {"%", Precedence::product}}};

constexpr std::array kAllOps = {
#define FOVEA_OP(name, arity, rule, spelling, cuda) Op::name,
#include "program/ops.def"
#undef FOVEA_OP
};

constexpr std::array<std::string_view, 10> kWords = {
    "mask_mod", "score_mod", "weight_mod", "return", "const",
    "clamp",    "true",      "false",      "inf",    "nan"};

constexpr std::array kDTypes = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64,
                                DType::i32, DType::i16, DType::i8,   DType::u8,  DType::boolean};

}  // namespace

std::optional<Precedence> infix_precedence(const Token& token) {
  if (token.kind != Token::Kind::symbol) return std::nullopt;
  for (const Infix& infix : kInfix) {
    if (infix.symbol == token.text) return infix.precedence;
  }
  return std::nullopt;
}

std::optional<Op> binary_op(std::string_view symbol) {
  for (const Op op : kAllOps) {
    if (arity_of(op) == 2 && symbol == spelling_of(op)) return op;
  }
  return std::nullopt;
}

std::optional<Op> function_op(std::string_view name) {
  for (const Op op : kAllOps) {
    if (arity_of(op) < 1 || precedence_of(op) != Precedence::atom) continue;
    if (name == display_name(op)) return op;
  }
  return std::nullopt;
}

bool is_reserved(std::string_view name) {
  for (const std::string_view word : kWords) {
    if (name == word) return true;
  }
  return function_op(name).has_value();
}

DType dtype_of(const Token& token) {
  for (const DType dtype : kDTypes) {
    if (token.text == name_of(dtype)) return dtype;
  }
  fail_at(token, "a type");
}

Literal integer_of(const Token& token, bool negative) {
  const bool hex = token.text.size() > 1 && (token.text[1] == 'x' || token.text[1] == 'X');
  const std::string_view digits = hex ? token.text.substr(2) : token.text;
  uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, hex ? 16 : 10);
  constexpr uint64_t kLimit = uint64_t{1} << 63;
  const bool parsed = error == std::errc{} && end == digits.data() + digits.size();
  if (!parsed || magnitude > kLimit || (magnitude == kLimit && !negative)) {
    fail_at(token, "an integer of at most 64 bits");
  }
  return make_int(static_cast<int64_t>(negative ? 0 - magnitude : magnitude));
}

Literal real_of(const Token& token, bool negative) {
  double value = 0;
  const char* end = token.text.data() + token.text.size();
  const auto result = std::from_chars(token.text.data(), end, value);
  if (result.ec != std::errc{} || result.ptr != end) {
    fail_at(token, "a number that 64 bits can hold");
  }
  return make_float(negative ? -value : value);
}

}  // namespace fovea::program
