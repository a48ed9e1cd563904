// SPDX-License-Identifier: Apache-2.0
//
// Files of version 1 stay as they are. They are also what the fuzzer begins with.
#include <gtest/gtest.h>

#include <fovea/block_mask_file.h>
#include "golden/golden_file.h"

namespace fovea {
namespace {

void expect_file(const std::string& name, const BlockMask& mask) {
  const auto bytes = save_block_mask(mask);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  test::expect_golden("../fuzz/corpus/block_mask_file/" + name, text);
}

TEST(BlockMaskFileGolden, Version1) {
  expect_file("causal", create_block_mask([](auto, auto, auto q, auto kv) { return q >= kv; },
                                          {.q_len = 10, .kv_len = 14, .block_size = {4, 4}}));

  const std::vector<int16_t> ids{0, 0, 1, 1, 1, 2};
  const Capture doc = capture(view(ids.data(), {2, 6}, {0, 1}));
  expect_file("documents",
              create_block_mask([&](auto b, auto, auto q,
                                    auto kv) { return doc[b][q] == doc[b][kv] && q < 5 - b; },
                                {.q_len = 6, .kv_len = 6, .batch = 2, .block_size = {2, 2}}));

  const std::vector<uint8_t> counts{2, 1}, indices{3, 1, 0, 9};
  const BlockMask own = BlockMask::from_kv_blocks(
      {.kv_num_blocks = view(counts.data(), {2}), .kv_indices = view(indices.data(), {2, 2})},
      {.block_size = {4, 4}, .kv_len = 15});
  expect_file("lists", own.expanded(1, 3));
  expect_file("rows", own.index(0, 0, 1));
}

}  // namespace
}  // namespace fovea
