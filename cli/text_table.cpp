// SPDX-License-Identifier: Apache-2.0
#include "text_table.h"

#include <algorithm>

namespace fovea::cli {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::size_t width_of(const std::string& text) {
  const auto starts = std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); });
  return static_cast<std::size_t>(starts);
}

}  // namespace

void TextTable::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths;
  std::vector<std::string> titles;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    titles.push_back(columns_[c].title);
    widths.push_back(width_of(titles[c]));
    for (const auto& row : rows_) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  std::string result;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string space(widths[c] - width_of(cells[c]), ' ');
      if (c > 0) text += "  ";
      text += columns_[c].align == Align::left ? cells[c] + space : space + cells[c];
    }
    text.erase(text.find_last_not_of(' ') + 1);
    result += text + "\n";
  };
  line(titles);
  for (const auto& row : rows_) line(row);
  return result;
}

std::string fit(const std::string& text, std::size_t width) {
  if (width_of(text) <= width) return text;
  std::string result;
  std::size_t taken = 0;
  for (const char c : text) {
    if (!continues(c) && taken++ == width - 1) break;
    result += c;
  }
  return result + "…";
}

}  // namespace fovea::cli
