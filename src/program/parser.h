// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "program/builder.h"
#include "program/lexer.h"
#include "program/precedence.h"

/// Recursive descent over the text form (docs/program-text.md), straight into a Builder. Nesting,
/// length and node count are limited, so that hostile text ends in an error.
namespace fovea::program {

class Parser {
 public:
  Parser(std::string_view text, std::span<const TensorView> captures);
  Program run();

 private:
  struct Symbol {
    NodeId node = -1;  // or
    int32_t capture = -1;
  };
  class Nesting;

  // Declarations.
  Program program_with_header(ModKind kind);
  Program bare_expression();
  void declare_inputs(ModKind kind);
  void declare(const Token& name);
  void declare_capture(const Token& name, DType dtype);
  void declare_param(const Token& name, const Token& type, DType dtype);
  void define(const Token& name, Symbol symbol);

  // Expressions.
  NodeId expression(Precedence at_least);
  NodeId combine(const Token& symbol, NodeId left, NodeId right);
  NodeId prefix();
  NodeId postfix();
  NodeId primary();
  NodeId call(const Token& name);
  NodeId named(const Token& name);
  NodeId captured(const Token& name, int32_t slot);
  std::vector<NodeId> subscripts();
  NodeId make(const Token& at, Op op, std::span<const NodeId> operands);
  NodeId literal(const Token& at, const Literal& value);
  Literal number(bool negative);
  Literal signed_number();

  // Tokens.
  Token take();
  Token take_name(const char* what);
  bool is(std::string_view symbol) const;
  bool take_if(std::string_view symbol);
  void expect(std::string_view symbol);

  Lexer lexer_;
  Token token_;
  Builder builder_{ModKind::score};  // which kind it is shows at the end of a bare expression
  std::span<const TensorView> tensors_;
  std::size_t declared_captures_ = 0;
  std::unordered_map<std::string_view, Symbol> names_;
  int depth_ = 0;
};

}  // namespace fovea::program
