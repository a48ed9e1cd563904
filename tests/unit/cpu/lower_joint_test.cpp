// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/program.h>
#include "cpu/attention/tile_program.h"
#include "unit/cpu/tile_harness.h"

namespace fovea::cpu {
namespace {

using analysis::IndexClass;
using testing::joint_of;

std::vector<float> floats(1 << 12, 1.0f);
std::vector<int32_t> ints(64, 1);

Capture table(const Dims& sizes) { return capture(view(floats.data(), sizes)); }

TileProgram lowered(const Program& mod, const Program& mask = {}) {
  return lower_joint(mod, joint_of(mod), mask);
}

// The instructions of the backward part.
std::string backward_of(const TileProgram& program) {
  const std::string text = program.describe(), title = "backward, every element:\n";
  const std::size_t at = text.find(title);
  return at == std::string::npos ? "" : text.substr(at + title.size());
}

TEST(LowerJoint, NothingToRun) {
  const auto identity = score_mod([](auto s, auto, auto, auto, auto) { return s; });
  const auto causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  const TileProgram program = lowered(identity, causal);
  EXPECT_FALSE(program.has_backward());
  EXPECT_EQ(program.code().saved_slots, 0);
  EXPECT_TRUE(program.contributions().empty());
  // Distances without a captured tensor.
  const auto bias =
      score_mod([](auto s, auto, auto, auto q, auto kv) { return s - 0.5f * to_float(q - kv); });
  EXPECT_FALSE(lowered(bias).has_backward());
  EXPECT_FALSE(lower(bias, causal).has_backward());
  EXPECT_EQ(lower(bias, causal).joint(), nullptr);
}

TEST(LowerJoint, AlibiIsOneSum) {
  const auto slopes = table({8});
  const auto alibi =
      score_mod([=](auto s, auto, auto h, auto q, auto kv) { return s + slopes[h] * (q - kv); });
  const TileProgram program = lowered(alibi);
  EXPECT_EQ(program.describe(),
            "scalar, once a head:\n"
            "  s1 = t0[h]\n"
            "diagonal, once a tile:\n"
            "  d1 = f32(q-kv)\n"
            "  d2 = s1 * d1\n"
            "tile, every element:\n"
            "  score = score + d2\n"
            "backward, every element:\n"
            "  d t0 += dout * d1\n");
  EXPECT_EQ(program.code().saved_slots, 0);
  EXPECT_EQ(program.code().temp_slots, 0);
  ASSERT_EQ(program.contributions().size(), 1u);
  EXPECT_EQ(program.contributions()[0].classes.index, IndexClass::scalar);
  EXPECT_TRUE(program.contributions()[0].classes.reads_h);
}

TEST(LowerJoint, SoftcapKeepsItsTanh) {
  const auto softcap = score_mod([](auto s, auto, auto, auto, auto) {
    const Value cap = 30.0;
    return cap * tanh(s / cap);
  });
  EXPECT_EQ(lowered(softcap).describe(),
            "scalar, once a head:\n"
            "  s1 = p0 / p0\n"
            "tile, every element:\n"
            "  saved0 = tanh(score / p0)\n"
            "  score = p0 * saved0\n"
            "backward, every element:\n"
            "  dout = dout * (1 - saved0 * saved0) * s1\n");
  const auto by_inverse =
      score_mod([](auto s, auto, auto, auto, auto) { return 30.0f * tanh(s * 0.125f); });
  EXPECT_EQ(backward_of(lowered(by_inverse)),
            "  dout = dout * (1 - saved0 * saved0) * p0\n"
            "  dout = dout * p1\n");
}

TEST(LowerJoint, TableOfDistancesIsSummedByDiagonals) {
  const auto buckets = table({8, 32});
  const auto t5 = score_mod([=](auto s, auto, auto h, auto q, auto kv) {
    return s + buckets[h][clamp(q - kv + 16, 0, 31)];
  });
  EXPECT_EQ(backward_of(lowered(t5)), "  d t0 by diagonals += dout\n");
}

TEST(LowerJoint, TensorsOfTheTileAreScattered) {
  const auto dense = table({4, 16, 64});
  const auto doc = capture(view(ints.data(), {64}));
  const auto bias =
      score_mod([=](auto s, auto, auto h, auto q, auto kv) { return s + dense[h][q][kv]; });
  EXPECT_EQ(backward_of(lowered(bias)), "  d t0[h, q, kv] += dout\n");
  const auto by_document =
      score_mod([=](auto s, auto, auto, auto q, auto kv) { return s + dense[0][doc[q]][doc[kv]]; });
  EXPECT_EQ(backward_of(lowered(by_document)), "  d t0[p0, r1, c1] += dout\n");
}

TEST(LowerJoint, RawScoresAreKeptOnlyIfReadAgain) {
  const auto gate = table({64});
  const auto mod =
      score_mod([=](auto s, auto, auto, auto q, auto kv) { return s * gate[q] + gate[kv]; });
  EXPECT_EQ(lowered(mod).describe(),
            "row, once a block of rows:\n"
            "  r1 = t0[q]\n"
            "column, once a tile:\n"
            "  c1 = t0[kv]\n"
            "tile, every element:\n"
            "  saved0 = score\n"
            "  score = score * r1 + c1\n"
            "backward, every element:\n"
            "  d t0 by rows += dout * saved0\n"
            "  d t0 by columns += dout\n"
            "  dout = dout * r1\n");
  // Without a gradient of the gate nothing is kept.
  EXPECT_EQ(lower_joint(mod, program::derive(mod.graph(), {}), {}).code().saved_slots, 0);
}

// A result that the derivative reads lies in a place of its own: the mask writes over the scores.
TEST(LowerJoint, KeptResultIsCopied) {
  const auto mod = score_mod([](auto s, auto, auto, auto, auto) { return exp(s); });
  const auto causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  EXPECT_EQ(lowered(mod, causal).describe(),
            "diagonal, once a tile:\n"
            "  d1 = 0 <= q-kv  (mask)\n"
            "tile, every element:\n"
            "  saved0 = exp(score)\n"
            "  score = saved0\n"
            "  score = d1 ? score : -inf  (mask)\n"
            "backward, every element:\n"
            "  dout = dout * saved0\n");
}

TEST(LowerJoint, CheapConditionsAreComputedAgain) {
  const auto mod =
      score_mod([](auto s, auto, auto, auto, auto) { return where(s > 0.0f, s, 0.1f * s); });
  EXPECT_EQ(lowered(mod).code().saved_slots, 1);
  const auto far = score_mod(
      [](auto s, auto, auto, auto q, auto kv) { return where((q + kv) % 2 == 0, s, 0.1f * s); });
  EXPECT_EQ(lowered(far).code().saved_slots, 1);  // the remainder
}

TEST(LowerJoint, WeightsHaveNoMask) {
  const auto gate = table({64});
  const auto mod = weight_mod([=](auto w, auto, auto, auto, auto kv) { return w * gate[kv]; });
  EXPECT_EQ(backward_of(lowered(mod)),
            "  d t0 by columns += dout * saved0\n"
            "  dout = dout * c1\n");
}

// dscore is also what a sum reads: it must stay until the end.
TEST(LowerJoint, SharedGradientsAreNotOverwritten) {
  const auto gate = table({64});
  const auto mod =
      score_mod([=](auto s, auto, auto, auto, auto kv) { return 2.0f * tanh(s + gate[kv]); });
  EXPECT_EQ(backward_of(lowered(mod)),
            "  t0 = dout * (1 - saved0 * saved0) * p0\n"
            "  d t0 by columns += t0\n"
            "  dout = t0\n");
}

}  // namespace
}  // namespace fovea::cpu
