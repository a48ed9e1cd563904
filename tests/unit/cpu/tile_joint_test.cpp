// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include <fovea/program.h>
#include "cpu/attention/scatter_gradients.h"
#include "program/interpret.h"
#include "unit/cpu/tile_harness.h"

// The backward part of variants as people write them, against the float64 interpreter: dscore, and
// what each contribution adds up to.
namespace fovea::cpu {
namespace {

using analysis::IndexClass;
using program::JointProgram;
using testing::joint_of;
using testing::JointTile;
using testing::machines;
using testing::NamedMachine;
using testing::run_joint_tile;
using testing::TileOptions;
using testing::TileShape;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kLength = 200;

class TileJoint : public ::testing::TestWithParam<NamedMachine> {};
INSTANTIATE_TEST_SUITE_P(Isa, TileJoint, ::testing::ValuesIn(machines()),
                         [](const auto& machine) { return name_of_machine(machine.param); });

// Numbers between -1 and 1, not 0.
std::vector<float> waves(std::size_t count, int phase) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>((static_cast<int>(i) * 37 + phase) % 199 - 99) / 100.0f + 0.003f;
  }
  return values;
}

struct Tables {
  std::vector<float> slopes = waves(4, 1), buckets = waves(4 * 32, 2), gates = waves(kLength, 3);
  std::vector<float> dense = waves(4 * kLength * kLength, 4), pairs = waves(40 * 40, 5);
  std::vector<BFloat16> rough = std::vector<BFloat16>(kLength, BFloat16(0.5f));
  std::vector<double> precise = std::vector<double>(kLength, 0.25);
  std::vector<int64_t> documents;
  float number = 0.75f;
  Tables() {
    for (int64_t i = 0; i < kLength; ++i) documents.push_back(i / 23);
  }
};
Tables& tables() {
  static Tables all;
  return all;
}

Capture slopes() { return capture(view(tables().slopes.data(), {4})); }
Capture buckets() { return capture(view(tables().buckets.data(), {4, 32})); }
Capture gates() { return capture(view(tables().gates.data(), {kLength})); }
Capture dense() { return capture(view(tables().dense.data(), {4, kLength, kLength})); }
Capture pairs() { return capture(view(tables().pairs.data(), {40, 40})); }
Capture documents() { return capture(view(tables().documents.data(), {kLength})); }

Program alibi() {
  const auto slope = slopes();
  return score_mod([=](auto s, auto, auto h, auto q, auto kv) { return s + slope[h] * (q - kv); });
}
Program softcap() {
  return score_mod([](auto s, auto, auto, auto, auto) {
    const Value cap = 2.0;
    return cap * tanh(s / cap);
  });
}
Program t5() {
  const auto bucket = buckets();
  return score_mod([=](auto s, auto, auto h, auto q, auto kv) {
    return s + bucket[h][clamp(q - kv + 16, 0, 31)];
  });
}

struct Named {
  std::string name;
  Program mod;
};

std::vector<Named> variants() {
  const auto slope = slopes();
  const auto bucket = buckets();
  const auto gate = gates();
  const auto table = dense();
  const auto pair = pairs();
  const auto ids = documents();
  const auto rough = capture(view(tables().rough.data(), {kLength}));
  const auto precise = capture(view(tables().precise.data(), {kLength}));
  const auto number = Capture(TensorView{&tables().number, DType::f32, {}, {}, {}});
  using V = Value;
  const auto score = [](std::function<V(V, V, V, V, V)> mod) {
    return score_mod([=](V s, V b, V h, V q, V kv) { return mod(s, b, h, q, kv); });
  };
  std::vector<Named> all = {
      {"alibi", alibi()},
      {"softcap", softcap()},
      {"t5", t5()},
      {"softcap by inverse", score([](V s, V, V, V, V) { return 2.0f * tanh(s * 0.5f); })},
      {"softcap of alibi", score([=](V s, V, V h, V q, V kv) {
         return 3.0f * tanh((s + slope[h] * (q - kv)) / 3.0f);
       })},
      {"dense bias", score([=](V s, V, V h, V q, V kv) { return s + table[h][q][kv]; })},
      {"transposed bias", score([=](V s, V, V h, V q, V kv) { return s + table[h][kv][q]; })},
      {"dense factor", score([=](V s, V, V h, V q, V kv) { return s * table[h][q][kv]; })},
      {"document bias", score([=](V s, V, V, V q, V kv) { return s + pair[ids[q]][ids[kv]]; })},
      {"small table",
       score([=](V s, V, V h, V q, V kv) { return s + bucket[h][(q * 3 + kv * 5) % 32]; })},
      {"three varying indices", score([=](V s, V, V, V q, V kv) {
         return s + table[(q + kv) % 4][kv][(q * 7 + kv) % kLength];
       })},
      {"gates", score([=](V s, V, V, V q, V kv) { return s * gate[q] + gate[kv]; })},
      {"gate minus", score([=](V s, V, V, V q, V kv) { return gate[kv] - s * gate[q]; })},
      {"divisor of a row", score([=](V s, V, V, V q, V) { return s / (2.0f + gate[q]); })},
      {"divisor of a column", score([=](V s, V, V, V, V kv) { return s / (2.0f + gate[kv]); })},
      {"guard",
       score([=](V s, V, V, V q, V kv) { return where(q >= kv, s + gate[q - kv], s * 0.5f); })},
      {"branches",
       score([=](V s, V, V, V q, V kv) { return where(s > gate[kv], s * s, gate[q] * exp(s)); })},
      {"clamped", score([](V s, V, V, V, V) { return clamp(s, -1.0f, 1.0f); })},
      {"whole and half", score([=](V s, V, V, V q, V kv) { return s + rough[q] * precise[kv]; })},
      {"one number", score([=](V s, V, V, V, V) { return s * number; })},
      {"no score", score([=](V, V, V, V q, V kv) { return gate[q] * gate[kv]; })},
      {"the same read twice", score([=](V s, V, V, V q, V) { return s * gate[q] + gate[q]; })},
  };
  all.push_back({"weight gate", weight_mod([=](auto w, auto, auto, auto q, auto kv) {
                   return w * sigmoid(gate[q] + gate[kv]);
                 })});
  return all;
}

// What the interpreter adds up, and how large the summands are.
struct Sum {
  double value = 0, magnitude = 0;
};

struct Expected {
  std::vector<double> dscore;
  std::vector<std::map<int64_t, Sum>> sums;  // by contribution and place in its memory
};

Expected interpret_all(const Program& mod, const TileShape& shape, const std::vector<float>& scores,
                       const std::vector<float>& dout) {
  const JointProgram joint = joint_of(mod);
  const auto classes = analysis::classify(joint);
  program::JointState state(joint, mod);
  Expected expected;
  expected.sums.resize(classes.size());
  for (std::size_t k = 0; k < scores.size(); ++k) {
    const int64_t i = static_cast<int64_t>(k) / shape.cols,
                  j = static_cast<int64_t>(k) % shape.cols;
    if (dout[k] == 0) {
      expected.dscore.push_back(0);
      continue;
    }
    state.run({.score = static_cast<double>(scores[k]),
               .b = shape.b,
               .h = shape.h,
               .q = shape.q0 + i,
               .kv = shape.kv0 + j,
               .dout = static_cast<double>(dout[k])});
    expected.dscore.push_back(state.value(joint.dscore).f);
    for (std::size_t c = 0; c < classes.size(); ++c) {
      const auto& contribution = joint.captures[c];
      if (!state.holds(contribution)) continue;
      int64_t place = 0;
      const IndexClass index = classes[c].index;
      if (index == IndexClass::row) place = i;
      if (index == IndexClass::column) place = j;
      if (index == IndexClass::diagonal) place = j - i + shape.rows - 1;
      if (index == IndexClass::tile || index == IndexClass::gathered) {
        const TensorView& tensor = mod.captures()[static_cast<std::size_t>(contribution.slot)];
        for (std::size_t d = 0; d < contribution.index.size(); ++d) {
          place = place * tensor.size(static_cast<int>(d)) + state.value(contribution.index[d]).i;
        }
      }
      Sum& sum = expected.sums[c][place];
      const double value = state.value(contribution.value).f;
      sum.value += value;
      sum.magnitude += std::abs(value);
    }
  }
  return expected;
}

void expect_near(const JointTile& got, const Expected& want, float start = 0) {
  for (std::size_t k = 0; k < got.dscore.size(); ++k) {
    ASSERT_NEAR(static_cast<double>(got.dscore[k]), want.dscore[k],
                2e-6 * std::abs(want.dscore[k]) + 1e-6)
        << "dscore of element " << k;
  }
  ASSERT_EQ(got.gradients.size(), want.sums.size());
  for (std::size_t c = 0; c < want.sums.size(); ++c) {
    auto next = want.sums[c].begin();
    for (std::size_t k = 0; k < got.gradients[c].size(); ++k) {
      if (next == want.sums[c].end() || next->first != static_cast<int64_t>(k)) {
        if (got.gradients[c][k] != start) FAIL() << "contribution " << c << ", sum " << k;
        continue;
      }
      const Sum sum = (next++)->second;
      ASSERT_NEAR(static_cast<double>(got.gradients[c][k] - start), sum.value,
                  2e-6 * sum.magnitude + (start != 0 ? 1e-5 : 0))
          << "contribution " << c << ", sum " << k;
    }
    ASSERT_EQ(next, want.sums[c].end());
  }
}

std::vector<TileShape> shapes() {
  std::vector<TileShape> all;
  for (const int64_t rows : {1, 3, 16, 37}) {
    for (const int64_t cols : {1, 5, 16, 17, 64, 127, 129}) {
      all.push_back({.b = 1,
                     .h = 2,
                     .q0 = 20 + cols,
                     .rows = rows,
                     .kv0 = 16 + rows,
                     .cols = cols,
                     .extra_rows = rows % 3,
                     .extra_cols = cols % 5,
                     .padding = cols % 4});
    }
  }
  return all;
}

std::size_t elements(const TileShape& shape) {
  return static_cast<std::size_t>(shape.rows * shape.cols);
}

TEST_P(TileJoint, VariantsAtRaggedSizes) {
  for (const auto& [name, mod] : variants()) {
    const TileProgram lowered = lower_joint(mod, joint_of(mod), {});
    for (const TileShape& shape : shapes()) {
      SCOPED_TRACE(name + ", " + std::to_string(shape.rows) + " x " + std::to_string(shape.cols) +
                   "\n" + lowered.describe());
      std::vector<float> scores = waves(elements(shape), 7), dout = waves(elements(shape), 11);
      for (float& x : scores) x *= 3;
      const Expected want = interpret_all(mod, shape, scores, dout);
      expect_near(run_joint_tile(GetParam(), lowered, mod, {}, shape, scores, dout), want);
      if (HasFailure()) return;
      if (shape.rows != 3) continue;
      expect_near(run_joint_tile(GetParam(), lowered, mod, {}, shape, scores, dout, {.start = 2}),
                  want, 2);
      if (HasFailure()) return;
    }
  }
}

// The exact path gives the same.
TEST_P(TileJoint, SixtyFourBitPath) {
  const TileShape shape{.h = 2, .q0 = 31, .rows = 5, .kv0 = 20, .cols = 19, .padding = 3};
  for (const auto& [name, mod] : variants()) {
    SCOPED_TRACE(name);
    const TileProgram lowered = lower_joint(mod, joint_of(mod), {});
    const std::vector<float> scores = waves(elements(shape), 7), dout = waves(elements(shape), 11);
    const JointTile got =
        run_joint_tile(GetParam(), lowered, mod, {}, shape, scores, dout, {.needs_64_bits = true});
    expect_near(got, interpret_all(mod, shape, scores, dout));
    if (HasFailure()) return;
  }
}

TEST_P(TileJoint, LargeIntegersAreExact) {
  const auto gate = gates();
  const auto mod = score_mod([=](auto s, auto, auto, auto q, auto kv) {
    const Value far = (q + 1) * (int64_t{1} << 40);
    return s * gate[far / (int64_t{1} << 40)] + gate[(far + kv) % 199];
  });
  const TileShape shape{.q0 = 3, .rows = 4, .kv0 = 2, .cols = 21};
  const std::vector<float> scores = waves(elements(shape), 7), dout = waves(elements(shape), 11);
  const TileProgram lowered = lower_joint(mod, joint_of(mod), {});
  expect_near(run_joint_tile(GetParam(), lowered, mod, {}, shape, scores, dout),
              interpret_all(mod, shape, scores, dout));
}

// What is masked has dout 0. Its score, and what is captured for it, may be anything.
TEST_P(TileJoint, NothingBehindAMaskLeaks) {
  std::vector<float> gate(kLength, 1.5f);
  for (std::size_t i = 40; i < gate.size(); ++i) gate[i] = i % 3 == 0 ? kNaN : kInf;
  const auto table = capture(view(gate.data(), {kLength}));
  const auto short_table = capture(view(gate.data(), {40}));
  const auto mask = mask_mod([](auto, auto, auto, auto kv) { return kv < 40; });
  const std::vector<Program> mods = {
      score_mod([=](auto s, auto, auto, auto, auto kv) { return s * table[kv]; }),
      score_mod([=](auto s, auto, auto, auto, auto kv) { return s / table[kv]; }),
      score_mod([=](auto s, auto, auto, auto, auto kv) { return s * exp(table[kv]) - table[kv]; }),
      score_mod([=](auto s, auto, auto, auto, auto kv) { return s * short_table[kv]; }),
      score_mod([=](auto s, auto, auto h, auto, auto kv) {
        return 2.0f * tanh(s * table[h] + short_table[kv]);
      }),
      softcap(),
  };
  const TileShape shape{.q0 = 50, .rows = 6, .kv0 = 30, .cols = 37};
  std::vector<float> scores = waves(elements(shape), 7), dout = waves(elements(shape), 11);
  for (std::size_t k = 0; k < scores.size(); ++k) {
    if (static_cast<int64_t>(k) % shape.cols < 10) continue;
    scores[k] = k % 2 == 0 ? kNaN : kInf;
    dout[k] = 0;
  }
  for (const Program& mod : mods) {
    SCOPED_TRACE(mod.to_string());
    const TileProgram lowered = lower_joint(mod, joint_of(mod), mask);
    for (const bool wide : {false, true}) {
      const JointTile got = run_joint_tile(GetParam(), lowered, mod, mask, shape, scores, dout,
                                           {.needs_64_bits = wide});
      expect_near(got, interpret_all(mod, shape, scores, dout));
      for (std::size_t k = 0; k < scores.size(); ++k) {
        if (dout[k] == 0) {
          ASSERT_EQ(got.scores[k], -kInf);
        }
      }
      if (HasFailure()) return;
    }
  }
}

// A full block: the mask is not applied, and what only it needs is not computed.
TEST_P(TileJoint, WithoutTheMask) {
  const auto slope = slopes();
  const auto mod = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
    return where(q - kv < 9, s * slope[h], s) + slope[h] * (q - kv);
  });
  const auto mask = mask_mod([](auto, auto, auto q, auto kv) { return q - kv < 9 && kv % 2 == 0; });
  const TileProgram lowered = lower_joint(mod, joint_of(mod), mask);
  const TileShape shape{.h = 1, .q0 = 20, .rows = 9, .kv0 = 10, .cols = 33};
  const std::vector<float> scores = waves(elements(shape), 7), dout = waves(elements(shape), 11);
  const JointTile got =
      run_joint_tile(GetParam(), lowered, mod, mask, shape, scores, dout, {.apply_mask = false});
  expect_near(got, interpret_all(mod, shape, scores, dout));
  for (const float score : got.scores) ASSERT_GT(score, -kInf);
}

TEST_P(TileJoint, UnwantedGradientsAreLeftAlone) {
  const TileShape shape{.h = 2, .q0 = 31, .rows = 5, .kv0 = 20, .cols = 19};
  const std::vector<float> scores = waves(elements(shape), 7), dout = waves(elements(shape), 11);
  for (const auto& [name, mod] : variants()) {
    const TileProgram lowered = lower_joint(mod, joint_of(mod), {});
    for (const bool wide : {false, true}) {
      const JointTile got =
          run_joint_tile(GetParam(), lowered, mod, {}, shape, scores, dout,
                         {.needs_64_bits = wide, .wants_gradients = false, .start = 3});
      for (const auto& gradient : got.gradients) {
        for (const float x : gradient) ASSERT_EQ(x, 3.0f) << name;
      }
    }
  }
}

// An index outside its tensor adds nothing, and the forward part says NaN.
TEST_P(TileJoint, IndicesOutsideAddNothing) {
  std::vector<float> values = waves(24, 3);
  const auto t1 = capture(view(values.data(), {24}));
  const auto t2 = capture(view(values.data(), {4, 6}));
  using V = Value;
  const std::vector<std::function<V(V, V, V)>> reads = {
      [&](V, V q, V kv) { return t1[q - kv]; },
      [&](V, V q, V kv) { return t1[q * 2 + kv - 50]; },
      [&](V, V, V kv) { return t1[kv - 9]; },
      [&](V, V q, V) { return t1[q]; },
      [&](V h, V, V) { return t1[h + 1000]; },
      [&](V, V q, V kv) { return t2[q % 5][kv]; },
      [&](V, V q, V kv) { return t2[q - 20][kv % 7]; },
  };
  const TileShape shape{.h = 1, .q0 = 20, .rows = 7, .kv0 = 3, .cols = 40};
  const std::vector<float> scores = waves(elements(shape), 7), dout = waves(elements(shape), 11);
  for (const auto& read : reads) {
    const auto mod =
        score_mod([&](auto s, auto, auto h, auto q, auto kv) { return s + read(h, q, kv); });
    SCOPED_TRACE(mod.to_string());
    const JointProgram joint = joint_of(mod);
    const TileProgram lowered = lower_joint(mod, joint, {});
    const JointTile got = run_joint_tile(GetParam(), lowered, mod, {}, shape, scores, dout);
    // The gradient of the tensor, on the same way on from sums where they come first.
    const IndexClass index = lowered.contributions()[0].classes.index;
    const Dims& sizes = mod.captures()[0].sizes;
    std::vector<double> tensor(24, 0.0);
    if (index == IndexClass::tile || index == IndexClass::gathered) {
      tensor.assign(got.gradients[0].begin(), got.gradients[0].end());
    } else {
      const auto range = sum_range(index, shape.q0, shape.rows, shape.kv0, shape.cols);
      GradientScatter(joint, mod, 0)
          .add(0, shape.h, range.first, std::span<const float>(got.gradients[0]),
               view(tensor.data(), sizes));
    }
    std::vector<double> want(24, 0.0);
    program::JointState state(joint, mod);
    for (std::size_t k = 0; k < scores.size(); ++k) {
      try {
        state.run({.score = static_cast<double>(scores[k]),
                   .h = shape.h,
                   .q = shape.q0 + static_cast<int64_t>(k) / shape.cols,
                   .kv = shape.kv0 + static_cast<int64_t>(k) % shape.cols,
                   .dout = static_cast<double>(dout[k])});
      } catch (const InvalidArgument&) {
        ASSERT_TRUE(std::isnan(got.scores[k]));
        continue;
      }
      int64_t place = 0;
      for (std::size_t d = 0; d < joint.captures[0].index.size(); ++d) {
        place = place * sizes[static_cast<int>(d)] + state.value(joint.captures[0].index[d]).i;
      }
      want[static_cast<std::size_t>(place)] += static_cast<double>(dout[k]);
    }
    for (std::size_t k = 0; k < want.size(); ++k) ASSERT_NEAR(tensor[k], want[k], 1e-5) << k;
  }
}

TEST_P(TileJoint, ParametersAreSummedToo) {
  const auto mod = score_mod(
      [](auto s, auto, auto, auto q, auto kv) { return s * 1.5f + 0.25f * to_float(q - kv); });
  const JointProgram joint = joint_of(mod, true);
  const TileProgram lowered = lower_joint(mod, joint, {});
  ASSERT_EQ(lowered.contributions().size(), 2u);
  EXPECT_TRUE(lowered.contributions()[0].of_param);
  const TileShape shape{.q0 = 9, .rows = 6, .kv0 = 4, .cols = 35};
  const std::vector<float> scores = waves(elements(shape), 7), dout = waves(elements(shape), 11);
  const JointTile got = run_joint_tile(GetParam(), lowered, mod, {}, shape, scores, dout);
  double of_score = 0, of_distance = 0;
  for (std::size_t k = 0; k < scores.size(); ++k) {
    const auto i = static_cast<int64_t>(k) / shape.cols, j = static_cast<int64_t>(k) % shape.cols;
    of_score += static_cast<double>(dout[k]) * static_cast<double>(scores[k]);
    of_distance += static_cast<double>(dout[k]) * static_cast<double>(5 + i - j);
  }
  EXPECT_NEAR(static_cast<double>(got.gradients[0][0]), of_score, 1e-4);
  EXPECT_NEAR(static_cast<double>(got.gradients[1][0]), of_distance, 1e-3);
}

}  // namespace
}  // namespace fovea::cpu
