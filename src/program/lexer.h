// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Tokens of the text form of programs.
namespace fovea::program {

struct Token {
  enum class Kind : uint8_t { name, integer, real, symbol, end };
  Kind kind = Kind::end;
  std::string_view text;  // of the source
  int line = 1;
  int column = 1;  // in bytes, from 1
};

/// What a message calls the token: `'kv'`, `end of text`.
std::string describe(const Token& token);

/// InvalidArgument `[parse_program] line L, column C: expected X, got Y`.
[[noreturn]] void fail_at(const Token& token, const std::string& expected, const std::string& got);
[[noreturn]] void fail_at(const Token& token, const std::string& expected);

class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  /// The next token; `and`, `or`, `not` come as the symbols &&, ||, !.
  Token next();

 private:
  void skip_blanks();
  void advance(std::size_t count);
  std::size_t number_length(Token::Kind& kind) const;

  std::string_view rest_;
  int line_ = 1;
  int column_ = 1;
};

}  // namespace fovea::program
