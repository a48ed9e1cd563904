// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>

#include <fovea/random.h>

/// What property tests draw their cases from. FOVEA_TEST_SEED repeats a run, FOVEA_TEST_CASES says how many
/// cases one has, where a test asks for it.
namespace fovea::test {

inline uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}
  int64_t between(int64_t low, int64_t high) {
    return low + random_.below(position_++, high - low + 1);
  }
  bool chance(int64_t of) { return between(1, of) == 1; }

 private:
  Random random_;
  uint64_t position_ = 0;
};

}  // namespace fovea::test
