// SPDX-License-Identifier: Apache-2.0
#include "core/registry.h"

#include <gtest/gtest.h>

namespace fovea::core {
namespace {

TEST(RegistryTest, KeepsTheOrder) {
  Registry<int> registry;
  EXPECT_TRUE(registry.entries().empty());
  registry.add("second in the alphabet", std::make_shared<int>(1));
  registry.add("a first", std::make_shared<int>(2));
  const auto entries = registry.entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].name, "second in the alphabet");
  EXPECT_EQ(*entries[0].item, 1);
  EXPECT_EQ(*entries[1].item, 2);
}

TEST(RegistryTest, TheFirstOfANameWins) {
  Registry<int> registry;
  registry.add("cpu", std::make_shared<int>(1));
  registry.add("cpu", std::make_shared<int>(2));
  ASSERT_EQ(registry.entries().size(), 1u);
  EXPECT_EQ(*registry.entries()[0].item, 1);
}

}  // namespace
}  // namespace fovea::core
