// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

#include <string>

#include <gtest/gtest.h>

#include <fovea/config.h>
#include <fovea/error.h>
#include "unit/core/environment.h"

namespace fovea::core {
namespace {

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no error";
}

TEST(ConfigError, ThreadCounts) {
  for (const char* bad : {"0", "-1", "two", "2 ", " 2", "+2", "2.0", "1025", "99999999999"}) {
    const Environment threads("FOVEA_NUM_THREADS", bad);
    EXPECT_EQ(
        error_of([] { num_threads(); }),
        std::string("[FOVEA_NUM_THREADS] must be a number of threads: expected 1 to 1024, got '") +
            bad + "'");
  }
}

TEST(ConfigError, Switches) {
  for (const char* bad : {"yes", "2", "01", " "}) {
    const Environment checks("FOVEA_CHECK", bad);
    EXPECT_EQ(error_of([] { check(); }),
              std::string("[FOVEA_CHECK] must be a switch: expected 0 or 1, got '") + bad + "'");
  }
}

TEST(ConfigError, TheTableShowsABadValueInsteadOfFailing) {
  const Environment threads("FOVEA_NUM_THREADS", "many");
  EXPECT_EQ(config().at(0).name, "FOVEA_NUM_THREADS");
  EXPECT_EQ(config().at(0).value, "many");
}

}  // namespace
}  // namespace fovea::core
