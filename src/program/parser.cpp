// SPDX-License-Identifier: Apache-2.0
#include "program/parser.h"

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "core/fail.h"
#include "program/fold.h"
#include "program/vocabulary.h"

namespace fovea::program {

namespace {

constexpr int kMaxNesting = 200;
constexpr std::size_t kMaxBytes = std::size_t{16} << 20;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The builder knows what is wrong, the token where.
template <class F>
auto located(const Token& token, F&& f) {
  try {
    return f();
  } catch (const InvalidArgument& error) {
    const std::string_view text = error.what();
    throw InvalidArgument("[parse_program] line " + std::to_string(token.line) + ", column " +
                          std::to_string(token.column) + ": " +
                          std::string(text.substr(text.find("] ") + 2)));
  }
}

}  // namespace

class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser) : parser_(parser) {
    if (++parser_.depth_ > kMaxNesting) {
      --parser_.depth_;
      fail_at(parser_.token_, "at most " + std::to_string(kMaxNesting) + " nested expressions",
              "more");
    }
  }
  ~Nesting() { --parser_.depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser& parser_;
};

Parser::Parser(std::string_view text, std::span<const TensorView> captures)
    : lexer_(text), tensors_(captures) {
  core::require(text.size() <= kMaxBytes, "parse_program", "size of the text",
                "at most " + std::to_string(kMaxBytes) + " bytes", text.size());
  token_ = lexer_.next();
}

Token Parser::take() {
  const Token taken = token_;
  token_ = lexer_.next();
  return taken;
}

Token Parser::take_name(const char* what) {
  if (token_.kind != Token::Kind::name) fail_at(token_, what);
  return take();
}

bool Parser::is(std::string_view symbol) const {
  return token_.kind == Token::Kind::symbol && token_.text == symbol;
}

bool Parser::take_if(std::string_view symbol) {
  if (!is(symbol)) return false;
  take();
  return true;
}

void Parser::expect(std::string_view symbol) {
  if (!take_if(symbol)) fail_at(token_, "'" + std::string(symbol) + "'");
}

Program Parser::run() {
  for (const ModKind kind : {ModKind::score, ModKind::mask, ModKind::weight}) {
    const bool is_name = token_.kind == Token::Kind::name;
    if (is_name && token_.text == name_of(kind)) return program_with_header(kind);
  }
  return bare_expression();
}

Program Parser::program_with_header(ModKind kind) {
  take();
  expect("(");
  declare_inputs(kind);
  if (take_if(";")) {
    do {
      declare(take_name("the name of a parameter or captured tensor"));
    } while (take_if(","));
  }
  expect(")");
  if (!tensors_.empty()) {
    core::require(declared_captures_ == tensors_.size(), "parse_program",
                  "number of captured tensors", declared_captures_, tensors_.size());
  }
  expect("{");
  while (token_.text != "return") {
    const Token name = take_name("a name or 'return'");
    expect("=");
    define(name, {.node = expression(Precedence::any)});
    take_if(";");
  }
  const Token at = take();
  const NodeId root = expression(Precedence::any);
  take_if(";");
  expect("}");
  if (token_.kind != Token::Kind::end) fail_at(token_, "end of text");
  return located(at, [&] { return builder_.finish(root, kind); });
}

// Names are those of the inputs and t0, t1, ...
Program Parser::bare_expression() {
  for (const Input input : {Input::score, Input::b, Input::h, Input::q, Input::kv}) {
    names_[name_of(input, ModKind::score)] = {.node = builder_.input(input)};
  }
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const TensorView& tensor : tensors_) {
    names.push_back("t" + std::to_string(names.size()));
    names_[names.back()] = {.capture = builder_.new_capture(tensor)};
  }
  const Token at = token_;
  const NodeId root = expression(Precedence::any);
  if (token_.kind != Token::Kind::end) fail_at(token_, "an operator or end of text");
  return located(at, [&] {
    if (builder_.type(root) != ScalarType::boolean) return builder_.finish(root, ModKind::score);
    const Program mask = builder_.finish(root, ModKind::mask);
    for (const Node& node : mask.graph().nodes) {
      if (node.op == Op::input && node.slot == static_cast<int32_t>(Input::score)) {
        core::fail_argument("parse_program", "result of an expression that reads score", "f32",
                            "bool");
      }
    }
    return mask;
  });
}

void Parser::declare_inputs(ModKind kind) {
  for (const Input input : {Input::score, Input::b, Input::h, Input::q, Input::kv}) {
    if (input == Input::score && kind == ModKind::mask) continue;
    const Token name = take_name("the name of an input");
    define(name, {.node = builder_.input(input)});
    if (input != Input::kv) expect(",");
  }
}

void Parser::define(const Token& name, Symbol symbol) {
  if (is_reserved(name.text)) fail_at(name, "a name that is free", "a word of the language");
  if (!names_.emplace(name.text, symbol).second) {
    fail_at(name, "a new name", describe(name) + " again");
  }
}

void Parser::declare(const Token& name) {
  expect(":");
  const Token type = take_name("a type");
  const DType dtype = dtype_of(type);
  if (is("[")) {
    declare_capture(name, dtype);
  } else {
    declare_param(name, type, dtype);
  }
}

void Parser::declare_capture(const Token& name, DType dtype) {
  expect("[");
  const Token digits = token_;
  if (digits.kind != Token::Kind::integer) fail_at(digits, "the rank of the tensor");
  const int64_t rank = number(false).i;
  expect("]");
  if (rank > kMaxRank) fail_at(digits, "a rank of at most " + std::to_string(kMaxRank));
  const CaptureSignature signature{dtype, static_cast<int>(rank)};
  const std::size_t index = declared_captures_++;
  if (index >= tensors_.size()) {
    define(name, {.capture = builder_.capture(signature)});
    return;
  }
  const TensorView& tensor = tensors_[index];
  if (tensor.dtype != dtype || tensor.rank() != signature.rank) {
    const auto text = [](DType type, int64_t r) {
      return name_of(type) + ("[" + std::to_string(r)) + "]";
    };
    fail_at(name, "a tensor " + text(dtype, rank), text(tensor.dtype, tensor.rank()));
  }
  define(name, {.capture = builder_.new_capture(tensor)});
}

void Parser::declare_param(const Token& name, const Token& type, DType dtype) {
  Literal value;
  value.type = scalar_type_of(dtype);
  if (type.text != name_of(value.type)) fail_at(type, "f32, i32, bool or a tensor type");
  if (take_if("=")) {
    const Token at = token_;
    const Literal given = signed_number();
    if (given.type == value.type) {
      value = given;
    } else if (value.type == ScalarType::f32 && given.type == ScalarType::i32) {
      value.f = static_cast<double>(given.i);
    } else {
      fail_at(at, name_of(value.type), name_of(given.type));
    }
  }
  define(name, {.node = located(name, [&] { return builder_.param(value); })});
}

NodeId Parser::expression(Precedence at_least) {
  const Nesting nesting(*this);
  NodeId left = prefix();
  for (;;) {
    const auto precedence = infix_precedence(token_);
    if (!precedence || *precedence < at_least) return left;
    const Token symbol = take();
    const NodeId right = expression(next(*precedence));
    left = combine(symbol, left, right);
    if (!chains(*precedence) && infix_precedence(token_) == precedence) {
      fail_at(token_, "parentheses around one of two comparisons");
    }
  }
}

NodeId Parser::combine(const Token& symbol, NodeId left, NodeId right) {
  const std::array straight = {left, right};
  const std::array swapped = {right, left};
  if (symbol.text == ">") return make(symbol, Op::lt, swapped);
  if (symbol.text == ">=") return make(symbol, Op::le, swapped);
  if (symbol.text == "/") {
    const bool floats =
        builder_.type(left) == ScalarType::f32 || builder_.type(right) == ScalarType::f32;
    return make(symbol, floats ? Op::div : Op::floor_div, straight);
  }
  return make(symbol, *binary_op(symbol.text), straight);
}

NodeId Parser::make(const Token& at, Op op, std::span<const NodeId> operands) {
  return located(at, [&] { return builder_.make(op, operands); });
}

NodeId Parser::literal(const Token& at, const Literal& value) {
  return located(at, [&] { return builder_.literal(value); });
}

NodeId Parser::prefix() {
  const bool is_symbol = token_.kind == Token::Kind::symbol;
  const char first = is_symbol ? token_.text[0] : '\0';
  if (!is_symbol || token_.text.size() != 1 ||
      (first != '-' && first != '+' && first != '!' && first != '~')) {
    return postfix();
  }
  const Nesting nesting(*this);
  const Token symbol = take();
  const bool is_number = token_.kind == Token::Kind::integer || token_.kind == Token::Kind::real;
  if (first == '-' && is_number) {
    return literal(symbol, number(true));
  }
  const std::array operand = {prefix()};
  if (first == '-') return make(symbol, Op::neg, operand);
  if (first == '!') return make(symbol, Op::logical_not, operand);
  if (first == '+') return operand[0];
  const bool of_bool = builder_.type(operand[0]) == ScalarType::boolean;
  return make(symbol, of_bool ? Op::logical_not : Op::bit_not, operand);
}

NodeId Parser::postfix() {
  NodeId value = primary();
  while (is("[")) {
    const Token bracket = take();
    for (const NodeId index : subscripts()) {
      value = located(bracket, [&] { return builder_.index(value, index); });
    }
  }
  return value;
}

// After `[`: i] or i, j].
std::vector<NodeId> Parser::subscripts() {
  std::vector<NodeId> indices;
  do {
    indices.push_back(expression(Precedence::any));
  } while (take_if(","));
  expect("]");
  return indices;
}

// All subscripts that follow at once: a node for each would be wasted.
NodeId Parser::captured(const Token& name, int32_t slot) {
  Token at = name;
  std::vector<NodeId> indices;
  while (is("[")) {
    at = take();
    const std::vector<NodeId> more = subscripts();
    indices.insert(indices.end(), more.begin(), more.end());
  }
  return located(at, [&] { return builder_.gather(slot, indices); });
}

NodeId Parser::primary() {
  const Token at = token_;
  switch (at.kind) {
    case Token::Kind::integer:
    case Token::Kind::real: return literal(at, number(false));
    case Token::Kind::name: return named(take());
    case Token::Kind::symbol:
    case Token::Kind::end: break;
  }
  if (!take_if("(")) fail_at(at, "an expression");
  const NodeId inner = expression(Precedence::any);
  expect(")");
  return inner;
}

NodeId Parser::named(const Token& name) {
  if (name.text == "true" || name.text == "false") {
    return literal(name, make_bool(name.text == "true"));
  }
  if (name.text == "inf") return literal(name, make_float(kInfinity));
  if (name.text == "nan") return literal(name, make_float(kNan));
  if (name.text == "const") {
    expect("(");
    const Literal value = signed_number();
    expect(")");
    return located(name, [&] { return builder_.constant(value); });
  }
  if (is("(")) return call(name);
  const auto known = names_.find(name.text);
  if (known == names_.end()) fail_at(name, "a name of this program");
  const Symbol& symbol = known->second;
  return symbol.capture < 0 ? symbol.node : captured(name, symbol.capture);
}

NodeId Parser::call(const Token& name) {
  const bool clamps = name.text == "clamp";
  const auto op = function_op(name.text);
  if (!op && !clamps) fail_at(name, "a function");
  const auto arity = static_cast<std::size_t>(clamps ? 3 : arity_of(*op));
  expect("(");
  std::array<NodeId, 3> args{};
  for (std::size_t i = 0; i < arity; ++i) {
    if (i > 0) expect(",");
    args[i] = expression(Precedence::any);
  }
  expect(")");
  if (!clamps) return make(name, *op, std::span(args.data(), arity));
  const std::array low = {make(name, Op::max, std::span(args.data(), 2)), args[2]};
  return make(name, Op::min, low);
}

Literal Parser::number(bool negative) {
  const Token token = take();
  return token.kind == Token::Kind::integer ? integer_of(token, negative)
                                            : real_of(token, negative);
}

Literal Parser::signed_number() {
  const bool negative = take_if("-");
  if (token_.kind == Token::Kind::integer || token_.kind == Token::Kind::real) {
    return number(negative);
  }
  const Token word = take_name("a number");
  const double sign = negative ? -1 : 1;
  if (word.text == "inf") return make_float(sign * kInfinity);
  if (word.text == "nan") return make_float(kNan);
  if (!negative && (word.text == "true" || word.text == "false")) {
    return make_bool(word.text == "true");
  }
  fail_at(word, "a number");
}

}  // namespace fovea::program

namespace fovea {

Program parse_program(std::string_view text, std::span<const TensorView> captures) {
  return program::Parser(text, captures).run();
}

}  // namespace fovea
