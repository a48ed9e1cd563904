// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "program/graph.h"

/// The text form of programs (docs/program-text.md). parse_program is the inverse.
namespace fovea::program {

/// `values`: of the parameters, or empty for the structure alone.
std::string print(const Graph& graph, std::span<const Literal> values = {});

/// A number as the text form has it: floats round-trip and never look like integers.
std::string print_literal(const Literal& value);

Hash128 hash_text(std::string_view text);

}  // namespace fovea::program
