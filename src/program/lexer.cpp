// SPDX-License-Identifier: Apache-2.0
#include "program/lexer.h"

#include <array>
#include <string>

#include "core/fail.h"

namespace fovea::program {

namespace {

// Own character classes: those of <cctype> depend on the locale and on the sign of char.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Two characters before one.
constexpr std::array<std::string_view, 30> kSymbols = {
    "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "+", "-", "*", "/", "%", "<", ">",
    "!",  "~",  "&",  "|",  "^",  "(",  ")",  "[",  "]", "{", "}", ",", ";", ":", "="};

std::string_view symbol_at(std::string_view text) {
  for (const std::string_view symbol : kSymbols) {
    if (text.starts_with(symbol)) return symbol;
  }
  return {};
}

std::string_view synonym(std::string_view name) {
  if (name == "and") return "&&";
  if (name == "or") return "||";
  if (name == "not") return "!";
  return {};
}

std::string describe_character(char c) {
  if (c > ' ' && c < '\x7f') return std::string("'") + c + "'";
  constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  return std::string("byte 0x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

}  // namespace

std::string describe(const Token& token) {
  if (token.kind == Token::Kind::end) return "end of text";
  constexpr std::size_t kLongest = 40;
  if (token.text.size() <= kLongest) return "'" + std::string(token.text) + "'";
  return "'" + std::string(token.text.substr(0, kLongest)) + "...'";
}

void fail_at(const Token& token, const std::string& expected, const std::string& got) {
  core::fail_argument(
      "parse_program",
      "line " + std::to_string(token.line) + ", column " + std::to_string(token.column), expected,
      got);
}

void fail_at(const Token& token, const std::string& expected) {
  fail_at(token, expected, describe(token));
}

void Lexer::advance(std::size_t count) {
  for (const char c : rest_.substr(0, count)) {
    ++column_;
    if (c != '\n') continue;
    ++line_;
    column_ = 1;
  }
  rest_.remove_prefix(count);
}

void Lexer::skip_blanks() {
  while (!rest_.empty()) {
    if (is_blank(rest_[0])) {
      advance(1);
    } else if (rest_[0] == '#' || rest_.starts_with("//")) {
      advance(std::min(rest_.find('\n'), rest_.size()));
    } else {
      return;
    }
  }
}

std::size_t Lexer::number_length(Token::Kind& kind) const {
  const auto at = [this](std::size_t i) { return i < rest_.size() ? rest_[i] : '\0'; };
  std::size_t n = 0;
  if (at(0) == '0' && (at(1) == 'x' || at(1) == 'X')) {
    n = 2;
    while (is_hex(at(n))) ++n;
    return n;
  }
  while (is_digit(at(n))) ++n;
  if (at(n) == '.') {
    kind = Token::Kind::real;
    ++n;
    while (is_digit(at(n))) ++n;
  }
  if (at(n) == 'e' || at(n) == 'E') {
    const std::size_t digits = at(n + 1) == '+' || at(n + 1) == '-' ? n + 2 : n + 1;
    if (!is_digit(at(digits))) return n;
    kind = Token::Kind::real;
    n = digits;
    while (is_digit(at(n))) ++n;
  }
  return n;
}

Token Lexer::next() {
  skip_blanks();
  Token token;
  token.line = line_;
  token.column = column_;
  if (rest_.empty()) return token;
  std::size_t length = 0;
  const char first = rest_[0];
  if (is_letter(first)) {
    token.kind = Token::Kind::name;
    while (length < rest_.size() && (is_letter(rest_[length]) || is_digit(rest_[length]))) ++length;
  } else if (is_digit(first) || (first == '.' && rest_.size() > 1 && is_digit(rest_[1]))) {
    token.kind = Token::Kind::integer;
    length = number_length(token.kind);
    if (length < rest_.size() && (is_letter(rest_[length]) || rest_[length] == '.')) {
      token.text = rest_.substr(0, length + 1);
      fail_at(token, "a number");
    }
  } else {
    token.kind = Token::Kind::symbol;
    length = symbol_at(rest_).size();
    if (length == 0) fail_at(token, "a program", describe_character(first));
  }
  token.text = rest_.substr(0, length);
  advance(length);
  if (const auto symbol = synonym(token.text); !symbol.empty()) {
    token.kind = Token::Kind::symbol;
    token.text = symbol;
  }
  return token;
}

}  // namespace fovea::program
