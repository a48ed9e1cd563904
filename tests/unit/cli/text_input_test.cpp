// SPDX-License-Identifier: Apache-2.0
#include "text_input.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "temporary_folder.h"

namespace fovea::cli {
namespace {

TEST(TextInput, DocumentsFillTheLength) {
  const test::TemporaryFolder folder;
  for (int i = 0; i < 30; ++i) {
    folder.write("f" + std::to_string(100 + i),
                 std::string(static_cast<std::size_t>(50 + 40 * i), 'x'));
  }
  const TextInput input = read_text_input(folder.path(), 3000);
  EXPECT_EQ(input.files, 30);
  EXPECT_EQ(input.documents.size(), 12U);
  ASSERT_EQ(input.tokens.size(), 3000U);
  ASSERT_EQ(input.ids.size(), 3000U);
  EXPECT_TRUE(std::is_sorted(input.ids.begin(), input.ids.end()));
  for (std::size_t d = 0; d < input.documents.size(); ++d) {
    const auto tokens = std::count(input.ids.begin(), input.ids.end(), static_cast<int32_t>(d));
    EXPECT_EQ(tokens, input.documents[d].length) << d;
  }
  EXPECT_LT(input.documents.front().length, input.documents.back().length);
}

TEST(TextInput, ShortTextRepeatsAsNewDocuments) {
  const test::TemporaryFolder folder;
  folder.write("a", "abc");
  folder.write("b", "de");
  const TextInput input = read_text_input(folder.path(), 12);
  EXPECT_EQ(std::string(input.tokens.begin(), input.tokens.end()), "abcdeabcdeab");
  EXPECT_EQ(input.ids, (std::vector<int32_t>{0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4}));
}

TEST(TextInput, LeavesOutWhatIsNoText) {
  const test::TemporaryFolder folder;
  folder.write("picture", std::string("\x89PNG\0\0", 6));
  folder.write(".hidden/a", "hidden");
  folder.write("build/a", "built");
  folder.write("empty", "");
  folder.write("sub/text", "text\n");
  const TextInput input = read_text_input(folder.path(), 4);
  EXPECT_EQ(input.files, 1);
  ASSERT_EQ(input.documents.size(), 1U);
  EXPECT_EQ(input.documents[0].path, "sub/text");
}

}  // namespace
}  // namespace fovea::cli
