// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "attention/problem.h"

namespace fovea::attention {
namespace {

/// A call whose tensors fit; each test breaks one rule.
class SequencesErrorTest : public testing::Test {
 protected:
  std::string error() const {
    try {
      validate("flex_attention", query, key, value, out, options);
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "no error";
  }
  static std::string text(const std::string& tail) { return "[flex_attention] " + tail; }

  std::vector<float> memory = std::vector<float>(4096);
  TensorView query, key, value, out;
  FlexOptions options;
};

/// Three sequences of 2, 0 and 3 queries, and 4, 1 and 2 keys.
class JaggedErrorTest : public SequencesErrorTest {
 protected:
  JaggedErrorTest() {
    query = view(memory.data(), {1, 4, 5, 3});
    key = view(memory.data(), {1, 2, 7, 3});
    value = view(memory.data(), {1, 2, 7, 2});
    out = view(memory.data(), {1, 4, 5, 2});
    options.cu_seqlens_q = view(q_ends.data(), {4});
    options.cu_seqlens_kv = view(kv_ends.data(), {4});
  }
  std::vector<int32_t> q_ends{0, 2, 2, 5};
  std::vector<int64_t> kv_ends{0, 4, 5, 7};
};

TEST_F(JaggedErrorTest, AGoodCallIsDescribed) {
  options.lse = view(memory.data(), {1, 4, 5});
  const Problem p = validate("flex_attention", query, key, value, out, options);
  EXPECT_EQ(p.batch, 3);
  EXPECT_EQ(p.q_len, 3);
  EXPECT_EQ(p.kv_len, 4);
  ASSERT_EQ(p.sequences.size(), 3U);
  EXPECT_EQ(p.sequence(2).q_first, 2);
  EXPECT_EQ(p.sequence(2).q_len, 3);
  EXPECT_EQ(p.sequence(2).kv_first, 5);
  EXPECT_EQ(p.sequence(2).kv_len, 2);
  for (const TensorView& tensor : {p.query, p.key, p.value, p.out, *p.lse}) {
    EXPECT_EQ(tensor.size(0), 3);
    EXPECT_EQ(tensor.stride(0), 0);
  }
}

TEST_F(JaggedErrorTest, BothOrNeither) {
  options.cu_seqlens_kv.reset();
  EXPECT_EQ(error(), text("cu_seqlens_q and cu_seqlens_kv must be given together: expected both, "
                          "none, or cu_seqlens_q and page_table, got cu_seqlens_q alone"));
  options.cu_seqlens_kv = options.cu_seqlens_q;
  options.cu_seqlens_q.reset();
  EXPECT_EQ(error(), text("cu_seqlens_q and cu_seqlens_kv must be given together: expected both, "
                          "none, or cu_seqlens_q and page_table, got cu_seqlens_kv alone"));
}

TEST_F(JaggedErrorTest, Batch) {
  query = out = view(memory.data(), {2, 4, 5, 2});
  key.sizes[3] = 2;
  EXPECT_EQ(error(), text("query batch must be 1 with cu_seqlens_q: expected 1, got 2"));
  query = out = view(memory.data(), {1, 4, 5, 2});
  key = value = view(memory.data(), {2, 2, 7, 2});
  EXPECT_EQ(error(), text("key batch must be 1 with cu_seqlens_kv: expected 1, got 2"));
}

TEST_F(JaggedErrorTest, Tensors) {
  options.cu_seqlens_q->dtype = DType::i16;
  EXPECT_EQ(error(), text("cu_seqlens_q must be i32 or i64: expected i32 or i64, got i16"));
  options.cu_seqlens_q->dtype = DType::i32;
  options.cu_seqlens_q->device = {DeviceType::cuda, 0};
  EXPECT_EQ(error(), text("cu_seqlens_q must be in the CPU's memory: expected cpu, got cuda"));
  options.cu_seqlens_q = view(q_ends.data(), {2, 2});
  EXPECT_EQ(error(),
            text("cu_seqlens_q must have the shape (sequences + 1): expected [1], got [2, 2]"));
  options.cu_seqlens_q = view(q_ends.data(), {0});
  EXPECT_EQ(error(),
            text("cu_seqlens_q must have the shape (sequences + 1): expected [1], got [0]"));
  options.cu_seqlens_q = view(q_ends.data(), {4});
  options.cu_seqlens_kv = view(kv_ends.data(), {3});
  EXPECT_EQ(error(),
            text("cu_seqlens_kv must have the shape (sequences + 1): expected [4], got [3]"));
  options.cu_seqlens_kv = view(static_cast<int64_t*>(nullptr), {4});
  EXPECT_EQ(error(), text("cu_seqlens_kv must have memory: expected a pointer, got null"));
}

TEST_F(JaggedErrorTest, Ends) {
  q_ends = {1, 2, 2, 5};
  EXPECT_EQ(error(), text("cu_seqlens_q must begin with 0: expected 0, got 1"));
  q_ends = {0, 2, 2, 4};
  EXPECT_EQ(error(),
            text("cu_seqlens_q must end with the length of its tensor: expected 5, got 4"));
  q_ends = {0, 2, 2, 5};
  kv_ends = {0, 5, 4, 7};
  EXPECT_EQ(error(), text("cu_seqlens_kv must ascend: expected at least 5 at entry 2, got 4"));
}

TEST_F(JaggedErrorTest, OutputsHaveTheQuerysBatch) {
  options.lse = view(memory.data(), {3, 4, 5});
  EXPECT_EQ(error(), text("lse must have the shape (batch, query heads, query length): expected "
                          "[1, 4, 5], got [3, 4, 5]"));
}

TEST_F(JaggedErrorTest, BlockMask) {
  const auto causal = [](auto, auto, auto q, auto kv) { return q >= kv; };
  options.block_mask = create_block_mask(causal, {.q_len = 3, .kv_len = 4});
  EXPECT_EQ(error(), "no error");
  options.block_mask = create_block_mask(causal, {.q_len = 300, .kv_len = 400});
  EXPECT_EQ(error(), "no error");
  options.block_mask = create_block_mask(causal, {.q_len = 3, .kv_len = 3});
  EXPECT_EQ(error(), text("block_mask must be made for the longest sequences: expected at least "
                          "3 x 4, got 3 x 3"));
  const auto by_batch = [](auto b, auto, auto q, auto kv) { return q + b >= kv; };
  options.block_mask = create_block_mask(by_batch, {.q_len = 3, .kv_len = 4, .batch = 2});
  EXPECT_EQ(error(), text("block_mask batch must be 1 or the query's: expected 1 or 3, got 2"));
}

TEST_F(JaggedErrorTest, KvLensWithinTheSequences) {
  std::vector<int64_t> lengths{4, 0, 2};
  options.kv_lens = view(lengths.data(), {3});
  EXPECT_EQ(error(), "no error");
  lengths[1] = 2;
  EXPECT_EQ(error(), text("kv_lens must not exceed the keys that there are: expected 0 to 1 at "
                          "entry 1, got 2"));
}

/// Two sequences of at most three of five pages of 4 keys.
class PagesErrorTest : public SequencesErrorTest {
 protected:
  PagesErrorTest() {
    query = view(memory.data(), {2, 4, 5, 3});
    key = view(memory.data(), {5, 2, 4, 3});
    value = view(memory.data(), {5, 2, 4, 2});
    out = view(memory.data(), {2, 4, 5, 2});
    options.page_table = view(table.data(), {2, 3});
    options.kv_lens = view(lengths.data(), {2});
  }
  std::vector<int32_t> table{4, 0, -1, 3, -1, 77};
  std::vector<int32_t> lengths{8, 1};
};

TEST_F(PagesErrorTest, AGoodCallIsDescribed) {
  const Problem p = validate("flex_attention", query, key, value, out, options);
  EXPECT_EQ(p.batch, 2);
  EXPECT_EQ(p.kv_len, 8);
  EXPECT_EQ(p.page_size, 4);
  EXPECT_EQ(p.sequence(1).kv_len, 1);
  EXPECT_EQ(p.sequence(1).q_len, 5);
}

TEST_F(PagesErrorTest, WithoutLengthsEveryPageIsUsed) {
  options.kv_lens.reset();
  EXPECT_EQ(error(),
            text("page_table must name pages of the key: expected 0 to 4 at [0, 2], got -1"));
  table = {4, 0, 1, 3, 3, 3};
  EXPECT_EQ(error(), "no error");
  EXPECT_EQ(validate("flex_attention", query, key, value, out, options).kv_len, 12);
}

TEST_F(PagesErrorTest, Pages) {
  lengths = {9, 1};
  EXPECT_EQ(error(),
            text("page_table must name pages of the key: expected 0 to 4 at [0, 2], got -1"));
  table = {4, 0, 5, 3, -1, 77};
  EXPECT_EQ(error(),
            text("page_table must name pages of the key: expected 0 to 4 at [0, 2], got 5"));
}

TEST_F(PagesErrorTest, Lengths) {
  lengths = {13, 1};
  EXPECT_EQ(error(), text("kv_lens must not exceed the keys that there are: expected 0 to 12 at "
                          "entry 0, got 13"));
  lengths = {8, -1};
  EXPECT_EQ(error(), text("kv_lens must not exceed the keys that there are: expected 0 to 12 at "
                          "entry 1, got -1"));
  options.kv_lens = view(lengths.data(), {1});
  EXPECT_EQ(error(), text("kv_lens must have the shape (batch): expected [2], got [1]"));
  options.kv_lens->dtype = DType::f32;
  EXPECT_EQ(error(), text("kv_lens must be i32 or i64: expected i32 or i64, got f32"));
}

TEST_F(PagesErrorTest, Table) {
  options.page_table = view(table.data(), {1, 3});
  EXPECT_EQ(error(), text("page_table must have the shape (batch, pages of a sequence): expected "
                          "[2, 3], got [1, 3]"));
  options.page_table = view(table.data(), {6});
  EXPECT_EQ(error(), text("page_table must have the shape (batch, pages of a sequence): expected "
                          "[2, 0], got [6]"));
  options.page_table = view(table.data(), {2, 3});
  options.page_table->dtype = DType::u8;
  EXPECT_EQ(error(), text("page_table must be i32 or i64: expected i32 or i64, got u8"));
}

TEST_F(PagesErrorTest, PagesOfKeyAndValueAgree) {
  value = view(memory.data(), {4, 2, 4, 2});
  EXPECT_EQ(error(), text("value batch must equal key batch: expected 5, got 4"));
}

TEST_F(PagesErrorTest, NoEndsOfKeys) {
  std::vector<int32_t> ends{0, 2, 5};
  options.cu_seqlens_kv = view(ends.data(), {3});
  EXPECT_EQ(error(), text("cu_seqlens_kv must not be given with page_table: expected kv_lens, got "
                          "cu_seqlens_kv"));
}

TEST_F(PagesErrorTest, BlockMaskHasTheQuerysLength) {
  const auto causal = [](auto, auto, auto q, auto kv) { return q >= kv; };
  options.block_mask = create_block_mask(causal, {.q_len = 5, .kv_len = 12});
  EXPECT_EQ(error(), "no error");
  options.block_mask = create_block_mask(causal, {.q_len = 6, .kv_len = 12});
  EXPECT_EQ(error(), text("block_mask must be made for the query's length: expected 5, got 6"));
}

}  // namespace
}  // namespace fovea::attention
