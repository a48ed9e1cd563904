// SPDX-License-Identifier: Apache-2.0
#include "program_lines.h"

#include <cctype>
#include <map>
#include <sstream>

namespace fovea::cli {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// The literals of the header: `p0: i32 = 512` gives p0 -> 512.
std::map<std::string, std::string> literals_of(const std::string& header) {
  std::map<std::string, std::string> literals;
  const std::size_t list = header.find(';');
  if (list == std::string::npos) return literals;
  std::istringstream entries(header.substr(list + 1, header.rfind(')') - list - 1));
  for (std::string entry; std::getline(entries, entry, ',');) {
    const std::size_t name = entry.find_first_not_of(' ');
    const std::size_t colon = entry.find(':');
    const std::size_t equals = entry.find("= ");
    if (colon == std::string::npos || equals == std::string::npos) continue;
    literals[entry.substr(name, colon - name)] = entry.substr(equals + 2);
  }
  return literals;
}

std::string with_literals(const std::string& text,
                          const std::map<std::string, std::string>& literals) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_word(text[end])) ++end;
    if (end == i) {
      result += text[i++];
      continue;
    }
    const std::string word = text.substr(i, end - i);
    const auto literal = literals.find(word);
    result += literal == literals.end() ? word : literal->second;
    i = end;
  }
  return result;
}

std::string without_space(const std::string& line) {
  const std::size_t first = line.find_first_not_of(' ');
  return first == std::string::npos ? "" : line.substr(first);
}

}  // namespace

std::string one_line(const Program& program) {
  std::istringstream lines(simplify(program).to_string());
  std::string header;
  std::getline(lines, header);
  const auto literals = literals_of(header);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    line = without_space(line);
    if (line.empty() || line == "}") continue;
    if (line.starts_with("return ")) line = line.substr(7);
    result += (result.empty() ? "" : "; ") + with_literals(line, literals);
  }
  return result;
}

std::string shape_classes(const std::string& explained, std::string_view mod) {
  const std::string title = std::string(mod) + ", operations by shape class: ";
  std::istringstream lines(explained);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(title)) continue;
    std::istringstream entries(line.substr(title.size()));
    std::string result;
    for (std::string entry; std::getline(entries, entry, ',');) {
      entry = without_space(entry);
      if (entry.ends_with(" 0")) continue;
      result += (result.empty() ? "" : ", ") + entry;
    }
    return result;
  }
  return "";
}

}  // namespace fovea::cli
