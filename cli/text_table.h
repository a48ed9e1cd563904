// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// Columns that line up. The first is to the left, numbers to the right.
namespace fovea::cli {

class TextTable {
 public:
  enum class Align : uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::right;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells);  ///< one for each column
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Cut to `width` characters (UTF-8), with an ellipsis if something is lost.
std::string fit(const std::string& text, std::size_t width);

}  // namespace fovea::cli
