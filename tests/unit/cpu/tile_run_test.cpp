// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "program/interpret.h"
#include "unit/cpu/tile_harness.h"

// How tiles are run: masks of each shape class, ragged sizes, rebinding, the 64-bit path.
namespace fovea::cpu {
namespace {

using testing::machines;
using testing::NamedMachine;
using testing::run_tile;
using testing::TileShape;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class TileRun : public ::testing::TestWithParam<NamedMachine> {};
INSTANTIATE_TEST_SUITE_P(Isa, TileRun, ::testing::ValuesIn(machines()),
                         [](const auto& machine) { return name_of_machine(machine.param); });

std::vector<float> ramp(const TileShape& shape) {
  std::vector<float> scores(static_cast<std::size_t>(shape.rows * shape.cols));
  for (std::size_t i = 0; i < scores.size(); ++i) {
    scores[i] = static_cast<float>(i % 97) * 0.125f - 5.0f;
  }
  return scores;
}

// All of a tile against the interpreter; the programs here are exact in f32.
void check(const NamedMachine& machine, const Program& score_mod, const Program& mask_mod,
           const TileShape& shape, const testing::TileOptions& options = {}) {
  const std::vector<float> scores = ramp(shape);
  const auto got = run_tile(machine, score_mod, mask_mod, shape, scores, options);
  for (int64_t i = 0; i < shape.rows; ++i) {
    for (int64_t j = 0; j < shape.cols; ++j) {
      const auto k = static_cast<std::size_t>(i * shape.cols + j);
      program::Inputs at{.score = static_cast<double>(scores[k]),
                         .b = shape.b,
                         .h = shape.h,
                         .q = shape.q0 + i,
                         .kv = shape.kv0 + j};
      double want = score_mod ? program::interpret(score_mod, at).f : at.score;
      at.score = 0;
      if (mask_mod && options.apply_mask && program::interpret(mask_mod, at).i == 0) want = -kInf;
      ASSERT_EQ(static_cast<double>(got[k]), want)
          << shape.rows << " x " << shape.cols << " at " << shape.q0 << ", " << shape.kv0
          << ": row " << i << ", column " << j;
    }
  }
}

std::vector<Program> masks(const Capture& documents) {
  return {
      mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; }),
      mask_mod([](auto, auto, auto q, auto kv) { return q >= kv && q - kv < 7; }),
      mask_mod([](auto, auto, auto, auto kv) { return kv % 3 != 0; }),
      mask_mod([](auto, auto, auto q, auto) { return q % 3 != 0; }),
      mask_mod([](auto b, auto h, auto, auto) { return b + h == 3; }),
      mask_mod([](auto b, auto h, auto, auto) { return b + h != 3; }),
      mask_mod([](auto, auto, auto q, auto kv) { return q >= kv || kv < 10; }),
      mask_mod([](auto, auto, auto q, auto kv) { return (q + kv) % 2 == 0; }),
      mask_mod([](auto, auto, auto q, auto kv) {
        return abs(q / 8 - kv / 8) <= 1 && abs(q % 8 - kv % 8) <= 2;
      }),
      mask_mod(
          [=](auto, auto, auto q, auto kv) { return documents[q] == documents[kv] && q >= kv; }),
      mask_mod([=](auto, auto, auto q, auto kv) {
        return documents[q] == documents[kv] && q % 5 != 0 && kv % 4 != 1 && q - kv < 20 &&
               q + 3 >= kv;
      }),
      mask_mod([](auto, auto, auto, auto) { return Value(false); }),
      mask_mod([](auto, auto, auto, auto) { return Value(true); }),
  };
}

TEST_P(TileRun, MasksOfEveryShapeClass) {
  std::vector<int64_t> ids(128);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i / 9);
  const auto documents = capture(view(ids.data(), {128}));
  const auto alibi = score_mod([](auto s, auto, auto h, auto q, auto kv) {
    return s * 2 + to_float(h + 1) * to_float(kv - q);
  });
  for (const Program& mask : masks(documents)) {
    SCOPED_TRACE(mask.to_string());
    for (const Program& score : {Program{}, alibi}) {
      check(GetParam(), score, mask, {.b = 1, .h = 2, .q0 = 16, .rows = 24, .kv0 = 8, .cols = 48});
      check(GetParam(), score, mask,
            {.b = 1, .h = 2, .q0 = 5, .rows = 7, .kv0 = 11, .cols = 37, .padding = 4});
    }
  }
}

TEST_P(TileRun, FullBlocksSkipTheMask) {
  const auto causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv && kv % 3 != 0; });
  const auto twice =
      score_mod([](auto s, auto, auto, auto q, auto kv) { return s * 2 + to_float(q - kv); });
  for (const int64_t cols : {32, 21}) {
    check(GetParam(), twice, causal, {.rows = 5, .cols = cols}, {.apply_mask = false});
    check(GetParam(), {}, causal, {.rows = 5, .cols = cols}, {.apply_mask = false});
    check(GetParam(), twice, causal, {.rows = 5, .cols = cols},
          {.apply_mask = false, .needs_64_bits = true});
  }
}

// A tile of any size, in a machine that is as large or larger.
TEST_P(TileRun, RaggedTiles) {
  std::vector<int32_t> ids(64);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i / 5);
  const auto documents = capture(view(ids.data(), {64}));
  const auto mod = score_mod([=](auto s, auto, auto, auto q, auto kv) {
    return where(documents[q] == documents[kv], s + to_float(q - kv), s * to_float(kv)) +
           to_float(q);
  });
  const auto mask = mask_mod([](auto, auto, auto q, auto kv) { return q - kv < 9 && kv % 4 != 1; });
  for (int64_t rows = 1; rows <= 7; ++rows) {
    for (int64_t cols = 1; cols <= 17; ++cols) {
      for (const int64_t extra : {0, 1, 13}) {
        check(GetParam(), mod, mask,
              {.q0 = 20,
               .rows = rows,
               .kv0 = 12,
               .cols = cols,
               .extra_rows = extra,
               .extra_cols = 2 * extra,
               .padding = extra});
      }
    }
  }
}

TEST_P(TileRun, ManyChunks) {
  const auto mod = score_mod([](auto s, auto, auto, auto q, auto kv) {
    const Value far = (q + kv) % 5;
    return where(far == 0, s * 2, where(far == 1, s - 1, to_float(q * kv % 7) + s));
  });
  check(GetParam(), mod, {}, {.q0 = 3, .rows = 33, .kv0 = 7, .cols = 256, .padding = 16});
  check(GetParam(), mod, {}, {.q0 = 3, .rows = 33, .kv0 = 7, .cols = 201});
  check(GetParam(), mod, {}, {.q0 = 3, .rows = 2, .kv0 = 7, .cols = 5000});
}

TEST_P(TileRun, NaNBehindAMaskIsGone) {
  const auto causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  const auto mod = score_mod([](auto s, auto, auto, auto, auto) { return s * 2; });
  const std::vector<float> scores(3 * 20, kNaN);
  const auto got = run_tile(GetParam(), mod, causal, {.rows = 3, .cols = 20}, scores);
  for (std::size_t k = 0; k < got.size(); ++k) {
    if (k % 20 <= k / 20) {
      EXPECT_TRUE(std::isnan(got[k]));
    } else {
      EXPECT_EQ(got[k], -kInf);
    }
  }
}

// An index may be out of range where the mask is false.
TEST_P(TileRun, OutOfRangeBehindAMaskIsGone) {
  const std::vector<float> bias = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const auto table = capture(view(bias.data(), {10}));
  const auto mod =
      score_mod([=](auto s, auto, auto, auto q, auto kv) { return s + table[q - kv]; });
  const auto causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  for (const bool wide : {false, true}) {
    const auto got = run_tile(GetParam(), mod, causal, {.rows = 10, .cols = 10},
                              std::vector<float>(100, 1), {.needs_64_bits = wide});
    for (std::size_t k = 0; k < 100; ++k) {
      const std::size_t q = k / 10, kv = k % 10;
      EXPECT_EQ(got[k], q >= kv ? 1 + bias[q - kv] : -kInf);
    }
  }
}

TEST_P(TileRun, ParametersChangeWithoutLowering) {
  const auto with = [](int64_t window, float factor, bool negative) {
    return std::pair(score_mod([=](auto s, auto, auto, auto q, auto kv) {
                       return s * factor + to_float((q - kv) * window);
                     }),
                     mask_mod([=](auto, auto, auto q, auto kv) {
                       return q - kv < (negative ? -window : window);
                     }));
  };
  const auto [score, mask] = with(4, 2.0f, false);
  const TileProgram lowered = lower(score, mask);
  const TileShape shape{.q0 = 6, .rows = 5, .kv0 = 0, .cols = 19};
  const std::vector<float> scores(static_cast<std::size_t>(shape.rows * shape.cols), 3.0f);
  for (const int64_t window : {4, 1, 9, 1000}) {
    for (const bool negative : {false, true}) {
      const auto [other, other_mask] = with(window, 0.5f, negative);
      const auto got = run_tile(GetParam(), lowered, other, other_mask, shape, scores);
      for (std::size_t k = 0; k < got.size(); ++k) {
        const auto d = static_cast<int64_t>(6 + k / 19) - static_cast<int64_t>(k % 19);
        const bool allowed = d < (negative ? -window : window);
        EXPECT_EQ(got[k], allowed ? 1.5f + static_cast<float>(d * window) : -kInf);
      }
    }
  }
}

TEST_P(TileRun, CapturesChangeWithoutLowering) {
  const auto with = [](const std::vector<float>& values, int64_t stride) {
    const auto t =
        capture(view(values.data(), {static_cast<int64_t>(values.size()) / stride}, {stride}));
    return score_mod([=](auto s, auto, auto, auto, auto kv) { return s + t[kv]; });
  };
  const std::vector<float> a = {1, 2, 3, 4}, b = {9, 8, 7, 6, 5, 4, 3, 2};
  const TileProgram lowered = lower(with(a, 1), {});
  const std::vector<float> zeros(4);
  EXPECT_EQ(run_tile(GetParam(), lowered, with(a, 1), {}, {.cols = 4}, zeros),
            (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(run_tile(GetParam(), lowered, with(b, 2), {}, {.cols = 4}, zeros),
            (std::vector<float>{9, 7, 5, 3}));
}

TEST_P(TileRun, SixtyFourBitPathAgrees) {
  std::vector<int32_t> ids(128, 3);
  const auto documents = capture(view(ids.data(), {128}));
  const auto mod = score_mod(
      [](auto s, auto, auto h, auto q, auto kv) { return s * 2 + to_float(h * (q - kv)); });
  for (const Program& mask : masks(documents)) {
    check(GetParam(), mod, mask,
          {.b = 1, .h = 2, .q0 = 5, .rows = 7, .kv0 = 11, .cols = 37, .padding = 4},
          {.needs_64_bits = true});
  }
}

// q * n + k at a million needs 41 bits.
TEST_P(TileRun, LargeIntegersAreExact) {
  const int64_t n = 1 << 20;
  const auto mask = mask_mod([=](auto, auto, auto q, auto kv) { return (q * n + kv) % 3 == 0; });
  check(GetParam(), {}, mask, {.q0 = n - 9, .rows = 4, .kv0 = n - 33, .cols = 33},
        {.needs_64_bits = true});
}

TEST_P(TileRun, FailuresOnTheSixtyFourBitPathAreNaN) {
  const std::vector<float> values = {1, 2, 3, 4, 5};
  const auto t = capture(view(values.data(), {5}));
  const auto mod = score_mod([=](auto, auto, auto, auto, auto kv) { return to_float(t[kv - 1]); });
  const auto got =
      run_tile(GetParam(), mod, {}, {.cols = 7}, std::vector<float>(7), {.needs_64_bits = true});
  EXPECT_TRUE(std::isnan(got[0]));
  for (std::size_t k = 1; k <= 5; ++k) EXPECT_EQ(got[k], values[k - 1]);
  EXPECT_TRUE(std::isnan(got[6]));
}

}  // namespace
}  // namespace fovea::cpu
