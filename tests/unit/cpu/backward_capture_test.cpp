// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <deque>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>
#include "unit/cpu/backward_harness.h"

/// Gradients of captured tensors, of every class and over every way to share them.
namespace fovea::cpu::testing {
namespace {

// Several chunks of keys, and heads in groups.
const Shape kShape{
    .q_len = 45, .kv_len = 530, .head_dim = 8, .batch = 2, .q_heads = 4, .kv_heads = 2};

class Captured : public ::testing::Test {
 protected:
  Capture normal(const Dims& sizes) {
    int64_t count = 1;
    for (const int64_t size : sizes) count *= size;
    std::vector<float>& data = floats_.emplace_back(static_cast<std::size_t>(count));
    for (float& x : data) x = 0.3f * Random(5).normal(next_++);
    return capture(view(data.data(), sizes));
  }
  // f(i) for i below count.
  template <class F>
  Capture ints(int64_t count, F&& f) {
    std::vector<int32_t>& data = ints_.emplace_back();
    for (int64_t i = 0; i < count; ++i) data.push_back(static_cast<int32_t>(f(i)));
    return capture(view(data.data(), {count}));
  }

  // Against the reference, and the same bits for any number of threads.
  template <class F>
  void check(const char* what, F&& mod, const Shape& shape = kShape, bool shared_keys = false) {
    BackwardCase c(shape);
    c.shared_keys = shared_keys;
    c.inputs.options.score_mod = score_mod(mod);
    EXPECT_TRUE(c.is_right(2, 2e-5)) << what;
    const NamedBackwardKernels kernels = all_backward_kernels().back();
    const Gradients expected = c.run(kernels, 1);
    for (const int threads : {2, 3, 7}) {
      EXPECT_TRUE(c.run(kernels, threads) == expected) << what << ", " << threads << " threads";
    }
  }

 private:
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<int32_t>> ints_;
  uint64_t next_ = 0;
};
using BackwardCaptures = Captured;

TEST_F(BackwardCaptures, Scalars) {
  const Capture all = normal({1}), by_head = normal({4}), by_both = normal({2, 4});
  check("scalars", [=](auto s, auto b, auto h, auto, auto) {
    return s * (1 + all[0]) + by_head[h] * tanh(s) + by_both[b][h] * s * s;
  });
}

TEST_F(BackwardCaptures, RowsColumnsAndDiagonals) {
  const Capture row = normal({2, 45}), column = normal({530}), diagonal = normal({4, 574});
  check("rows", [=](auto s, auto b, auto, auto q, auto) { return s + row[b][q]; });
  check("columns", [=](auto s, auto, auto, auto, auto kv) { return s * column[kv]; });
  check("diagonals",
        [=](auto s, auto, auto h, auto q, auto kv) { return s + diagonal[h][q - kv + 529]; });
  check("together", [=](auto s, auto b, auto h, auto q, auto kv) {
    return s * row[b][q] + column[kv] * diagonal[h][q - kv + 529];
  });
}

TEST_F(BackwardCaptures, BucketsOfTheDistance) {
  const Capture table = normal({32, 4});
  check("T5", [=](auto s, auto, auto h, auto q, auto kv) {
    return s + table[clamp((q - kv) / 8 + 16, 0, 31)][h];
  });
}

TEST_F(BackwardCaptures, ADenseBias) {
  const Capture by_both = normal({2, 4, 45, 530}), by_head = normal({4, 45, 530});
  const Capture by_batch = normal({2, 45, 530}), shared = normal({45, 530});
  const Capture by_kv_head = normal({2, 530, 45});
  check("by batch and head",
        [=](auto s, auto b, auto h, auto q, auto kv) { return s + by_both[b][h][q][kv]; });
  check("by head", [=](auto s, auto, auto h, auto q, auto kv) { return s + by_head[h][q][kv]; });
  check("by batch", [=](auto s, auto b, auto, auto q, auto kv) { return s + by_batch[b][q][kv]; });
  check("shared", [=](auto s, auto, auto, auto q, auto kv) { return s + shared[q][kv]; });
  check("by key head, transposed",
        [=](auto s, auto, auto h, auto q, auto kv) { return s + by_kv_head[h / 2][kv][q]; });
  check("two of them", [=](auto s, auto b, auto h, auto q, auto kv) {
    return s + by_head[h][q][kv] * by_batch[b][q][kv];
  });
}

TEST_F(BackwardCaptures, ADenseBiasOfSharedKeys) {
  const Shape shape{.q_len = 30, .kv_len = 300, .head_dim = 8, .batch = 3, .q_heads = 2};
  const Capture by_head = normal({2, 30, 300}), shared = normal({30, 300});
  check(
      "by head", [=](auto s, auto, auto h, auto q, auto kv) { return s + by_head[h][q][kv]; },
      shape, true);
  check(
      "shared", [=](auto s, auto, auto, auto q, auto kv) { return s + shared[q][kv]; }, shape,
      true);
}

TEST_F(BackwardCaptures, Gathered) {
  const Capture q_document = ints(45, [](int64_t i) { return i / 9; });
  const Capture kv_document = ints(530, [](int64_t i) { return i * 7 % 5; });
  const Capture pairs = normal({5, 5}), pairs_by_head = normal({4, 5, 5});
  check("pairs of documents", [=](auto s, auto, auto, auto q, auto kv) {
    return s * pairs[q_document[q]][kv_document[kv]];
  });
  check("by head", [=](auto s, auto, auto h, auto q, auto kv) {
    return s + pairs_by_head[h][q_document[q]][kv_document[kv]];
  });
  // Larger than a tile of elements: added in place.
  const Capture large = normal({100000});
  check("a large one", [=](auto s, auto, auto, auto q, auto kv) {
    return s + large[(q * 7919 + kv * 104729) % 100000];
  });
}

TEST_F(BackwardCaptures, ReadMoreThanOnce) {
  const Capture bias = normal({45, 530});
  const Capture table = normal({530});
  check("two elements of a bias", [=](auto s, auto, auto, auto q, auto kv) {
    return s + bias[q][kv] - bias[q][529 - kv] * bias[0][0];
  });
  check("row and column",
        [=](auto s, auto, auto, auto q, auto kv) { return s + table[q] * table[kv] + table[0]; });
}

TEST_F(BackwardCaptures, WithoutAnElementOrAContribution) {
  const Capture row = normal({45});
  const Capture unread = normal({3});
  const auto mod = [=](auto s, auto, auto, auto q, auto) {
    return s + floor(row[q]) + 0 * unread[0];
  };
  check("no gradient through floor", mod, {.q_len = 9, .kv_len = 5, .head_dim = 4});
  const auto some = [=](auto s, auto, auto, auto q, auto) { return s + row[q] * unread[1]; };
  check("no queries", some, {.q_len = 0, .kv_len = 5, .head_dim = 4});
  check("no keys", some, {.q_len = 5, .kv_len = 0, .head_dim = 4});
  check("no batch", some, {.q_len = 5, .kv_len = 4, .head_dim = 4, .batch = 0});
}

TEST_F(BackwardCaptures, OnlyWhatTheMaskShows) {
  BackwardCase c(kShape);
  const Capture bias = normal({45, 530}), diagonal = normal({574}), slope = normal({4});
  c.inputs.options.score_mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
    return s * slope[h] + bias[q][kv] + diagonal[q - kv + 529];
  });
  c.inputs.options.block_mask =
      create_block_mask([](auto, auto, auto q, auto kv) { return kv <= q * 11 && kv % 7 != 2; },
                        {.q_len = 45, .kv_len = 530, .block_size = {16, 32}});
  EXPECT_TRUE(c.is_right(2));
}

// Whoever asks for the gradients of captured tensors alone gets the same.
TEST_F(BackwardCaptures, Alone) {
  BackwardCase c(kShape);
  const Capture bias = normal({45, 530}), slope = normal({4});
  c.inputs.options.score_mod =
      score_mod([=](auto s, auto, auto h, auto q, auto kv) { return s * slope[h] + bias[q][kv]; });
  c.prepare();
  for (const NamedBackwardKernels& kernels : all_backward_kernels()) {
    c.wanted = {};
    const Gradients all = c.run(kernels, 2);
    c.wanted = {.query = false, .key = false, .value = false};
    const Gradients some = c.run(kernels, 2);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(same_bits(some.captures[i], all.captures[i]));
    c.wanted = {.captures = false};
    Gradients others = c.run(kernels, 2);
    others.captures = all.captures;
    EXPECT_TRUE(others == all);
  }
}

}  // namespace
}  // namespace fovea::cpu::testing
