// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

/// Golden files: text next to the test that writes it, reviewed like code. With
/// FOVEA_UPDATE_GOLDEN=1 in the environment a test writes its file anew instead of comparing.
namespace fovea::test {

inline void expect_golden(const std::string& path, const std::string& text) {
  const std::string file = std::string(FOVEA_SOURCE_DIR "/tests/golden/") + path;
  if (std::getenv("FOVEA_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(file) << text;
    return;
  }
  std::ifstream in(file);
  ASSERT_TRUE(in) << file << " is missing: run with FOVEA_UPDATE_GOLDEN=1";
  std::ostringstream expected;
  expected << in.rdbuf();
  EXPECT_EQ(expected.str(), text) << file << ": if the change is meant, FOVEA_UPDATE_GOLDEN=1";
}

}  // namespace fovea::test
