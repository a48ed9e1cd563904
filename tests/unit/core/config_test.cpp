// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

#include <map>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include <fovea/config.h>
#include "unit/core/environment.h"

namespace fovea::core {
namespace {

TEST(ConfigTest, ReadsWhatIsSet) {
  const Environment threads("FOVEA_NUM_THREADS", "3");
  const Environment isa_name("FOVEA_ISA", "baseline");
  EXPECT_EQ(num_threads(), 3);
  EXPECT_EQ(isa(), "baseline");
  {
    const Environment checks("FOVEA_CHECK", "1");
    EXPECT_TRUE(check());
  }
  {
    const Environment checks("FOVEA_CHECK", "0");
    EXPECT_FALSE(check());
  }
}

TEST(ConfigTest, UnsetOrEmptyMeansTheDefault) {
  for (const std::optional<std::string>& value : {std::optional<std::string>(), {""}}) {
    const Environment threads("FOVEA_NUM_THREADS", value);
    const Environment isa_name("FOVEA_ISA", value);
    const Environment checks("FOVEA_CHECK", value);
    EXPECT_GE(num_threads(), 1);
    EXPECT_EQ(isa(), "");
#if defined(NDEBUG)
    EXPECT_FALSE(check());
#else
    EXPECT_TRUE(check());
#endif
  }
}

TEST(ConfigTest, TheTableShowsEveryVariableWithItsValueAndDefault) {
  const Environment threads("FOVEA_NUM_THREADS", "5");
  const Environment isa_name("FOVEA_ISA", std::nullopt);
  std::map<std::string, ConfigEntry> entries;
  for (const ConfigEntry& entry : config()) {
    EXPECT_FALSE(entry.meaning.empty());
    EXPECT_FALSE(entry.default_value.empty());
    entries[entry.name] = entry;
  }
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries["FOVEA_NUM_THREADS"].value, "5");
  EXPECT_EQ(entries["FOVEA_ISA"].value, "");
  ASSERT_TRUE(entries.contains("FOVEA_CHECK"));
  // The default of the thread count is what one gets without the variable.
  const Environment none("FOVEA_NUM_THREADS", std::nullopt);
  EXPECT_EQ(entries["FOVEA_NUM_THREADS"].default_value, std::to_string(num_threads()));
}

}  // namespace
}  // namespace fovea::core
