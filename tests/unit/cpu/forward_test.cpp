// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/forward.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "cpu/attention/forward_layout.h"
#include "unit/cpu/attention_harness.h"

namespace fovea::cpu::testing {
namespace {

class Forward : public ::testing::TestWithParam<NamedKernels> {
 protected:
  // Every length of the product, without mods.
  void check_all(std::initializer_list<int64_t> q_lens, std::initializer_list<int64_t> kv_lens,
                 const Shape& shape) {
    for (const int64_t q_len : q_lens) {
      for (const int64_t kv_len : kv_lens) {
        Shape s = shape;
        s.q_len = q_len;
        s.kv_len = kv_len;
        EXPECT_TRUE(is_right(GetParam(), Inputs(s)));
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Isa, Forward, ::testing::ValuesIn(all_kernels()), name_of_kernels);

TEST_P(Forward, RaggedLengths) {
  check_all({0, 1, 7, 127, 129}, {0, 1, 7, 127, 129, 300}, {.head_dim = 64});
  check_all({5, 200}, {1023}, {.head_dim = 64});
}

TEST_P(Forward, RaggedLengthsWithOddDims) {
  check_all({1, 7, 129}, {1, 7, 127, 129, 300}, {.head_dim = 17, .value_dim = 33});
  check_all({1, 6, 13}, {1, 3, 5, 16, 65}, {.head_dim = 1, .value_dim = 1});
}

TEST_P(Forward, HeadDims) {
  for (const int64_t head_dim : {1, 3, 17, 64, 80, 128, 256, 511}) {
    EXPECT_TRUE(is_right(GetParam(), Inputs({.q_len = 37, .kv_len = 301, .head_dim = head_dim})));
    EXPECT_TRUE(is_right(
        GetParam(), Inputs({.q_len = 9, .kv_len = 70, .head_dim = 24, .value_dim = head_dim})));
    EXPECT_TRUE(is_right(
        GetParam(), Inputs({.q_len = 9, .kv_len = 70, .head_dim = head_dim, .value_dim = 24})));
  }
}

TEST_P(Forward, HeadsShareKeys) {
  for (const int64_t group : {1, 2, 3}) {
    for (const int threads : {1, 2}) {
      const Shape shape{.q_len = 50,
                        .kv_len = 90,
                        .head_dim = 32,
                        .batch = 2,
                        .q_heads = 2 * group,
                        .kv_heads = 2};
      EXPECT_TRUE(is_right(GetParam(), Inputs(shape), threads));
    }
  }
}

TEST_P(Forward, NoHeadsAndNoBatch) {
  EXPECT_TRUE(is_right(GetParam(), Inputs({.q_len = 3, .kv_len = 3, .head_dim = 8, .batch = 0})));
}

TEST_P(Forward, ScaleIsApplied) {
  Inputs inputs({.q_len = 20, .kv_len = 40, .head_dim = 16});
  for (const double scale : {0.0, 0.03, -1.0, 3.0}) {
    inputs.options.scale = scale;
    EXPECT_TRUE(is_right(GetParam(), inputs, 1, 2e-5)) << scale;
  }
}

// Many heads are packed by the workers for themselves, few together, very many in waves.
TEST_P(Forward, EveryWayToShareTheWork) {
  const struct {
    Shape shape;
    int threads;
    bool private_heads;
    bool several_waves;
  } cases[] = {
      {{.q_len = 3, .kv_len = 60, .batch = 4, .q_heads = 16, .kv_heads = 8}, 2, true, false},
      {{.q_len = 70, .kv_len = 64}, 2, true, false},
      {{.q_len = 300, .kv_len = 700, .q_heads = 2, .kv_heads = 2}, 3, false, false},
      {{.q_len = 1, .kv_len = 8000, .q_heads = 11, .kv_heads = 11}, 2, false, true},
  };
  for (const auto& c : cases) {
    const Inputs inputs(c.shape);
    EXPECT_TRUE(is_right(GetParam(), inputs, c.threads));
    TensorView out = inputs.query;
    out.data = const_cast<float*>(inputs.query_data.data());
    const auto problem =
        attention::validate("test", inputs.query, inputs.key, inputs.value, out, {});
    const ForwardLayout layout(*GetParam().kernels, ForwardPrograms(), problem, c.threads);
    EXPECT_EQ(layout.private_heads, c.private_heads) << to_string(c.shape);
    if (!c.private_heads) {
      EXPECT_EQ(layout.wave_heads < layout.kv_heads, c.several_waves);
    }
  }
}

TEST_P(Forward, LongValuesAreReadInPlace) {
  const Shape shape{.q_len = 3, .kv_len = 50001, .head_dim = 2, .value_dim = 64};
  const Inputs inputs(shape);
  std::vector<float> data(3 * 64);
  const auto problem = attention::validate("test", inputs.query, inputs.key, inputs.value,
                                           view(data.data(), {1, 1, 3, 64}), {});
  const ForwardLayout layout(*GetParam().kernels, ForwardPrograms(), problem, 1);
  EXPECT_TRUE(layout.head(shape.kv_len).values_in_place);
  EXPECT_TRUE(is_right(GetParam(), inputs));

  Inputs poisoned(shape);
  poisoned.value_data[64 * 40000 + 5] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(is_right(GetParam(), poisoned));
}

TEST_P(Forward, SameBitsForAnyNumberOfThreads) {
  for (const Shape& shape : {Shape{.q_len = 64, .kv_len = 64},
                             Shape{.q_len = 333, .kv_len = 517, .q_heads = 6, .kv_heads = 2},
                             Shape{.q_len = 21, .kv_len = 100, .batch = 40}}) {
    const Inputs inputs(shape);
    const Result expected = run_kernels(GetParam(), inputs, 1);
    for (const int threads : {2, 3, 7}) {
      EXPECT_TRUE(run_kernels(GetParam(), inputs, threads) == expected)
          << threads << " threads, " << to_string(shape);
    }
  }
}

// The same keys and values, one row alone or among others.
TEST_P(Forward, SameBitsForAnyGroupingOfRows) {
  const Inputs all({.q_len = 140, .kv_len = 300, .head_dim = 40});
  const Result expected = run_kernels(GetParam(), all);
  for (const int64_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 128}) {
    for (const int64_t first : {int64_t{0}, 140 - count}) {
      Inputs some = all;
      some.shape.q_len = count;
      some.query = view(all.query_data.data() + first * 40, {1, 1, count, 40});
      const Result got = run_kernels(GetParam(), some);
      for (int64_t i = 0; i < count * 40; ++i) {
        ASSERT_EQ(got.out[static_cast<std::size_t>(i)],
                  expected.out[static_cast<std::size_t>(first * 40 + i)])
            << "rows " << first << " + " << count;
      }
    }
  }
}

TEST_P(Forward, LargeScores) {
  // Beyond the range in which the maximum is kept as a whole number, and close to overflow.
  for (const double scale : {1e4, 1e7, 1e30}) {
    Inputs inputs({.q_len = 30, .kv_len = 270, .head_dim = 16});
    inputs.options.scale = scale;
    const Result got = run_kernels(GetParam(), inputs);
    for (const float x : got.out) ASSERT_TRUE(std::isfinite(x)) << scale;
    // A softmax this sharp picks one key; the scores of others are rounded away.
    for (int64_t r = 0; r < 30; ++r) {
      float largest = -INFINITY;
      int64_t best = 0;
      for (int64_t k = 0; k < 270; ++k) {
        double dot = 0;
        for (int64_t d = 0; d < 16; ++d) {
          dot += static_cast<double>(inputs.query_data[static_cast<std::size_t>(r * 16 + d)]) *
                 static_cast<double>(inputs.key_data[static_cast<std::size_t>(k * 16 + d)]);
        }
        if (static_cast<float>(dot) > largest) {
          largest = static_cast<float>(dot);
          best = k;
        }
      }
      EXPECT_NEAR(got.out[static_cast<std::size_t>(r * 16)],
                  inputs.value_data[static_cast<std::size_t>(best * 16)], 0.05);
    }
  }
}

// Rows take another way through the softmax once the norms of query and keys allow large scores: about
// that limit, with rows of both kinds side by side, and with keys that grow on the way.
TEST_P(Forward, SmallAndLargeNormsSideBySide) {
  for (const double scale : {2.0, 3.5, 5.0, -3.5, 12.0}) {
    Inputs inputs({.q_len = 67, .kv_len = 790, .head_dim = 16});
    inputs.options.scale = scale;
    EXPECT_TRUE(is_right(GetParam(), inputs, 1, 3e-5)) << scale;
    for (int64_t i = 0; i < 16; ++i) {  // one key of the second step
      inputs.key_data[static_cast<std::size_t>(300 * 16 + i)] *= 6;
    }
    EXPECT_TRUE(is_right(GetParam(), inputs, 1, 1e-4)) << scale;
    EXPECT_TRUE(run_kernels(GetParam(), inputs, 1) == run_kernels(GetParam(), inputs, 3)) << scale;
  }
}

// All scores far below 1, and all far above: nothing under- or overflows though no maximum is looked for.
TEST_P(Forward, ScoresFarFromZeroTogether) {
  for (const double scale : {-1.5, 1.5}) {
    Inputs inputs({.q_len = 40, .kv_len = 500, .head_dim = 16});
    for (float& x : inputs.query_data) x = 1;
    for (float& x : inputs.key_data) x = 1.0F + 0.01F * x;
    inputs.options.scale = scale;  // scores of 24, the limit is 27.7
    EXPECT_TRUE(is_right(GetParam(), inputs, 1, 1e-5)) << scale;
  }
}

// Behind a full block lies a key that no row may see.
TEST_P(Forward, HiddenKeysDecideNothing) {
  const Shape shape{.q_len = 40, .kv_len = 384, .head_dim = 16};
  Inputs clean(shape);
  clean.options.block_mask = create_block_mask(
      [](auto, auto, auto, auto kv) { return kv < 200; },
      {.q_len = 40, .kv_len = 384, .block_size = {40, 40}});  // 200 ends inside a chunk
  Inputs poisoned(shape);
  poisoned.options.block_mask = clean.options.block_mask;
  for (std::size_t i = 200 * 16; i < 384 * 16; ++i) {
    poisoned.key_data[i] = std::numeric_limits<float>::quiet_NaN();
  }
  EXPECT_TRUE(run_kernels(GetParam(), poisoned) == run_kernels(GetParam(), clean));
}

TEST_P(Forward, ScoresFarApartUnderflowQuietly) {
  Inputs inputs({.q_len = 8, .kv_len = 600, .head_dim = 4});
  inputs.options.score_mod =
      score_mod([](auto s, auto, auto, auto, auto kv) { return s - 0.7f * to_float(kv); });
  EXPECT_TRUE(is_right(GetParam(), inputs, 1, 1e-4));  // scores reach 420
  inputs.options.score_mod =
      score_mod([](auto s, auto, auto, auto, auto kv) { return s + 0.7f * to_float(kv - 599); });
  EXPECT_TRUE(is_right(GetParam(), inputs, 1, 1e-4));
}

}  // namespace
}  // namespace fovea::cpu::testing
