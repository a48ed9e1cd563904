// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "program/derive_rules.h"

// docs/derivatives.md has a row for each operation, and its rule says what becomes of a gradient.
namespace fovea::program {
namespace {

std::map<std::string, std::string> rows_of_the_page() {
  std::map<std::string, std::string> rows;
  std::ifstream page(FOVEA_SOURCE_DIR "/docs/derivatives.md");
  bool in_rules = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) in_rules = line == "## Rules";
    if (!in_rules || !line.starts_with("| `")) continue;
    const std::string name = line.substr(3, line.find('`', 3) - 3);
    EXPECT_TRUE(rows.emplace(name, line.substr(line.find(" | ") + 3)).second) << name << " twice";
  }
  return rows;
}

TEST(DerivativesPage, HasARowForEachOperation) {
  auto rows = rows_of_the_page();
  const Op ops[] = {
#define FOVEA_OP(name, arity, rule, spelling, cuda) Op::name,
#include "program/ops.def"
#undef FOVEA_OP
  };
  for (const Op op : ops) {
    const auto row = rows.extract(name_of(op));
    ASSERT_FALSE(row.empty()) << name_of(op) << " is missing";
    Gradient said = Gradient::flows;
    if (row.mapped() == "0 |") said = Gradient::zero;
    if (row.mapped() == "none |") said = Gradient::none;
    EXPECT_EQ(said, gradient_of(op)) << name_of(op);
  }
  for (const auto& [name, rule] : rows) ADD_FAILURE() << name << " is no operation";
}

}  // namespace
}  // namespace fovea::program
