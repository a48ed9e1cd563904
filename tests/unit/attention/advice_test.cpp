// SPDX-License-Identifier: Apache-2.0
#include "attention/advice.h"

#include <string>

#include <gtest/gtest.h>

namespace fovea::attention {
namespace {

constexpr int64_t kLength = 2048;

template <class F>
std::string advice_for(F&& mod) {
  return advise(create_block_mask(std::forward<F>(mod), {.q_len = kLength, .kv_len = kLength}));
}

TEST(Advice, NothingToSayOfDenseMasks) {
  EXPECT_EQ(advise({}), "");
  EXPECT_EQ(advice_for([](auto, auto, auto q, auto kv) { return q >= kv; }), "");
  EXPECT_EQ(advice_for([](auto, auto, auto q, auto kv) { return q / 512 == kv / 512; }), "");
  EXPECT_EQ(advice_for([](auto, auto, auto q, auto kv) { return abs(q - kv) <= 300; }), "");
}

TEST(Advice, ImagesInRowOrder) {
  const std::string advice = advice_for([](auto, auto, auto q, auto kv) {
    return abs(q / 64 - kv / 64) <= 3 && abs(q % 64 - kv % 64) <= 3;
  });
  EXPECT_NE(advice.find("row of 64 cut into square tiles"), std::string::npos) << advice;
}

TEST(Advice, Dilation) {
  const std::string advice = advice_for(
      [](auto, auto, auto q, auto kv) { return q >= kv && q - kv < 512 && (q - kv) % 8 == 0; });
  EXPECT_NE(advice.find("ordered by position % 8"), std::string::npos) << advice;
  // One in eight of the window, of which partial blocks have little more than half.
  EXPECT_NE(advice.find("about 1"), std::string::npos) << advice;
}

TEST(Advice, ThinMasksWithoutAPeriod) {
  const std::string advice = advice_for([](auto, auto, auto q, auto kv) { return q == kv; });
  EXPECT_NE(advice.find("about 0.8 % are used"), std::string::npos) << advice;
  EXPECT_NE(advice.find("smaller blocks"), std::string::npos) << advice;
}

}  // namespace
}  // namespace fovea::attention
