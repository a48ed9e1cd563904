// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "parse_options.h"
#include "program_lines.h"
#include "text_table.h"
#include "timing.h"

namespace fovea::cli {
namespace {

TEST(ProgramLines, LiteralsStandInPlace) {
  EXPECT_EQ(one_line(mask_mod([](auto, auto, auto q, auto kv) { return q >= kv && q - kv < 256; })),
            "kv <= q && q - kv < 256");
  EXPECT_EQ(one_line(score_mod([](auto score, auto, auto, auto, auto) { return score * 0.5; })),
            "score * 0.5");
}

TEST(ProgramLines, SharedPartsAreNamed) {
  const auto program = score_mod([](auto score, auto, auto, auto, auto) {
    const auto x = score * 2.0;
    return x * x;
  });
  EXPECT_EQ(one_line(program), "v0 = score * 2.0; v0 * v0");
}

TEST(ProgramLines, ClassesWithoutOperationsAreLeftOut) {
  const std::string text =
      "score_mod: none\nmask_mod, operations by shape class: scalar 0, row 2, column 0, tile 10\n";
  EXPECT_EQ(shape_classes(text, "mask_mod"), "row 2, tile 10");
  EXPECT_EQ(shape_classes(text, "score_mod"), "");
}

TEST(TextTable, ColumnsLineUp) {
  TextTable table({{"name", TextTable::Align::left}, {"ms"}});
  table.add({"a", "12.5"});
  table.add({"größer", "3"});
  EXPECT_EQ(table.text(), "name      ms\na       12.5\ngrößer     3\n");
}

TEST(TextTable, FitKeepsCharactersWhole) {
  EXPECT_EQ(fit("größer", 6), "größer");
  EXPECT_EQ(fit("größer", 4), "grö…");
}

TEST(ParseOptions, Extents) {
  EXPECT_EQ(parse_extent("--length", "4096").kv, 4096);
  EXPECT_EQ(parse_extent("--length", "300x900").q, 300);
  EXPECT_EQ(parse_extent("--length", "300x900").kv, 900);
}

TEST(ParseOptions, Parameters) {
  const auto parameters = parse_parameters({"window=256", "cap=1.5"});
  EXPECT_EQ(parameters.at("window"), 256);
  EXPECT_EQ(parameters.at("cap"), 1.5);
}

TEST(Timing, SpreadOfEvenAndOddCounts) {
  EXPECT_EQ(spread_of({3, 1, 2}).median, 2);
  EXPECT_EQ(spread_of({4, 1, 2, 3}).median, 2.5);
  EXPECT_EQ(spread_of({4, 1, 2}).lowest, 1);
  EXPECT_EQ(spread_of({4, 1, 2}).highest, 4);
}

}  // namespace
}  // namespace fovea::cli
