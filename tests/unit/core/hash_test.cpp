// SPDX-License-Identifier: Apache-2.0
#include "core/hash.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace fovea::core {
namespace {

std::string hash(const std::string& text) {
  return to_string(hash_bytes(text.data(), text.size()));
}

TEST(HashTest, IsTheSameOnEveryMachine) {
  EXPECT_EQ(hash(""), "d39f51fd90f94b44a16daf6c67301c20");
  EXPECT_EQ(hash("a"), "f4e0e60baa1fcca6a1d1156fdcd40b22");
  EXPECT_EQ(hash("12345678"), "06433f199301c9e0c6e59606a6bae5a4");
  EXPECT_EQ(hash("q >= kv && q - kv < 256"), "f9a6c409caf0d310ac6937af248614cc");
  EXPECT_EQ(hash(std::string(100, 'x')), "3be8ea83a5b46bf99efdb6bfae45eaf7");
}

TEST(HashTest, DoesNotDependOnAlignment) {
  const std::string text = "0123456789abcdef0123";
  for (std::size_t shift = 0; shift < 8; ++shift) {
    const std::string moved = std::string(shift, '-') + text;
    EXPECT_EQ(to_string(hash_bytes(moved.data() + shift, text.size())), hash(text));
  }
}

TEST(HashTest, SeesEveryByteAndTheLength) {
  std::set<std::string> seen;
  const std::string text(67, 'x');
  seen.insert(hash(text));
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      seen.insert(hash(changed));
    }
  }
  for (std::size_t n = 0; n < 66; ++n) seen.insert(hash(std::string(n, 'x')));
  for (std::size_t n = 1; n < 66; ++n) seen.insert(hash(std::string(n, '\0')));
  EXPECT_EQ(seen.size(), 1 + 67 * 8 + 66 + 65);
}

TEST(HashTest, EachHalfAloneSpreads) {
  std::set<uint64_t> low, high;
  for (uint32_t i = 0; i < 10000; ++i) {
    const Hash128 h = hash_bytes(&i, sizeof i);
    low.insert(h.low);
    high.insert(h.high);
  }
  EXPECT_EQ(low.size(), 10000u);
  EXPECT_EQ(high.size(), 10000u);
}

}  // namespace
}  // namespace fovea::core
