// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <fovea/config.h>
#include <fovea/error.h>

namespace fovea::core {
namespace {

/// Sets an environment variable and puts the old value back.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) {
      had_ = true;
      old_ = old;
    }
    setenv(name, value, 1);
  }
  ~Environment() {
    if (had_) {
      setenv(name_, old_.c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }

 private:
  const char* name_;
  bool had_ = false;
  std::string old_;
};

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no error";
}

TEST(ConfigTest, ReadsGoodValues) {
  const Environment threads("FOVEA_NUM_THREADS", "3");
  const Environment checks("FOVEA_CHECK", "1");
  EXPECT_EQ(num_threads(), 3);
  EXPECT_TRUE(check());
}

TEST(ConfigTest, RefusesBadThreadCounts) {
  for (const char* bad : {"0", "-1", "two", "2 ", "1025", "99999999999"}) {
    const Environment threads("FOVEA_NUM_THREADS", bad);
    EXPECT_EQ(
        error_of([] { num_threads(); }),
        std::string("[FOVEA_NUM_THREADS] must be a number of threads: expected 1 to 1024, got '") +
            bad + "'");
  }
}

TEST(ConfigTest, RefusesABadSwitch) {
  const Environment checks("FOVEA_CHECK", "yes");
  EXPECT_EQ(error_of([] { check(); }),
            "[FOVEA_CHECK] must be a switch: expected 0 or 1, got 'yes'");
}

TEST(ConfigTest, TheTableShowsTheValueInForce) {
  const Environment threads("FOVEA_NUM_THREADS", "5");
  bool found = false;
  for (const ConfigEntry& entry : config()) {
    EXPECT_FALSE(entry.meaning.empty());
    if (entry.name == "FOVEA_NUM_THREADS") found = entry.value == "5";
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace fovea::core
