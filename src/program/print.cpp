// SPDX-License-Identifier: Apache-2.0
#include "program/print.h"

#include <array>
#include <charconv>
#include <cmath>

#include "core/hash.h"
#include "program/printer.h"

namespace fovea::program {

std::string print(const Graph& graph, std::span<const Literal> values) {
  Printer printer(graph, values, std::span(&graph.root, 1));
  printer.head();
  printer.definitions();
  printer << "  return ";
  printer.expression(graph.root);
  printer << "\n}";
  return printer.take();
}

std::string print_literal(const Literal& value) {
  if (value.type == ScalarType::boolean) return value.i != 0 ? "true" : "false";
  if (value.type == ScalarType::i32) return std::to_string(value.i);
  if (std::isnan(value.f)) return "nan";
  if (std::isinf(value.f)) return value.f < 0 ? "-inf" : "inf";
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value.f).ptr;
  std::string text(buffer.data(), end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Hash128 hash_text(std::string_view text) { return core::hash_bytes(text.data(), text.size()); }

}  // namespace fovea::program
