// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "program/graph.h"
#include "program/lexer.h"
#include "program/precedence.h"

/// The words of the text form: what an operator, a function, a type or a number means.
namespace fovea::program {

/// Of an infix operator; nothing for any other token.
std::optional<Precedence> infix_precedence(const Token& token);

/// The operation of an infix operator that has one of its own: not `>` and `>=`.
std::optional<Op> binary_op(std::string_view symbol);

std::optional<Op> function_op(std::string_view name);

/// Words that a program cannot use as names.
bool is_reserved(std::string_view name);

/// InvalidArgument at the token if it is none.
DType dtype_of(const Token& token);
Literal integer_of(const Token& token, bool negative);
Literal real_of(const Token& token, bool negative);

}  // namespace fovea::program
