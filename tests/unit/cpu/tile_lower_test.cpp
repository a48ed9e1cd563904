// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include <fovea/program.h>
#include "cpu/attention/tile_program.h"

namespace fovea::cpu {
namespace {

std::vector<float> floats(256, 1.0f);
std::vector<int32_t> ints(256, 1);

TensorView table(const Dims& sizes) { return view(floats.data(), sizes); }
TensorView index_table(const Dims& sizes) { return view(ints.data(), sizes); }

std::string lowered(const Program& score_mod, const Program& mask_mod) {
  return lower(score_mod, mask_mod).describe();
}

TEST(TileLower, NothingToRun) {
  EXPECT_TRUE(lower({}, {}).empty());
  EXPECT_EQ(lowered({}, {}), "nothing to run\n");
  const auto identity = score_mod([](auto s, auto, auto, auto, auto) { return s; });
  const auto everything = mask_mod([](auto, auto, auto, auto) { return Value(true); });
  EXPECT_TRUE(lower(identity, everything).empty());
  EXPECT_FALSE(lower(identity, everything).has_mask());
}

TEST(TileLower, AlibiLeavesOneAdditionInTheInnerLoop) {
  const auto slopes = capture(table({8}));
  const auto alibi =
      score_mod([=](auto s, auto, auto h, auto q, auto kv) { return s + slopes[h] * (q - kv); });
  EXPECT_EQ(lowered(alibi, {}),
            "scalar, once a head:\n"
            "  s1 = t0[h]\n"
            "diagonal, once a tile:\n"
            "  d1 = f32(q-kv)\n"
            "  d1 = s1 * d1\n"
            "tile, every element:\n"
            "  score = score + d1\n");
}

TEST(TileLower, SoftcapIsOneInstruction) {
  const auto softcap = score_mod([](auto s, auto, auto, auto, auto) {
    const Value cap = 30.0;
    return cap * tanh(s / cap);
  });
  EXPECT_EQ(lowered(softcap, {}),
            "tile, every element:\n"
            "  score = tanh(score / p0) * p0\n");
}

TEST(TileLower, MultiplicationsJoinAdditions) {
  const auto mod =
      score_mod([](auto s, auto, auto, auto q, auto kv) { return 2.0f * s + to_float(q - kv); });
  EXPECT_NE(lowered(mod, {}).find("score = p0 * score + d1"), std::string::npos)
      << lowered(mod, {});
  const auto less =
      score_mod([](auto s, auto, auto, auto q, auto kv) { return to_float(q - kv) - s * 2.0f; });
  EXPECT_NE(lowered(less, {}).find("score = d1 - score * p0"), std::string::npos)
      << lowered(less, {});
}

TEST(TileLower, CausalMaskIsOnePass) {
  const auto causal = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; });
  EXPECT_EQ(lowered({}, causal),
            "diagonal, once a tile:\n"
            "  d1 = 0 <= q-kv  (mask)\n"
            "tile, every element:\n"
            "  score = d1 ? score : -inf  (mask)\n");
  EXPECT_TRUE(lower({}, causal).has_mask());
}

TEST(TileLower, ConjunctionIsTestedClassByClass) {
  const auto doc = capture(index_table({256}));
  const auto keep = capture(index_table({255}));
  const auto mask = mask_mod([=](auto b, auto, auto q, auto kv) {
    return keep[q] != 0 && q >= kv && doc[q] == doc[kv] && b < 3 && kv < 100;
  });
  EXPECT_EQ(lowered({}, mask),
            "scalar, once a head:\n"
            "  s2 = b < mask.p1  (mask)\n"
            "row, once a block of rows:\n"
            "  r1 = mask.t0[q]  (mask)\n"
            "  r1 = r1 != mask.p0  (mask)\n"
            "  r2 = mask.t1[q]  (mask)\n"
            "column, once a tile:\n"
            "  c1 = mask.t1[kv]  (mask)\n"
            "  c2 = kv < mask.p2  (mask)\n"
            "diagonal, once a tile:\n"
            "  d1 = 0 <= q-kv  (mask)\n"
            "tile, every element:\n"
            "  score = r2 == c1 ? score : -inf  (mask)\n"
            "  score = d1 & c2 ? score : -inf  (mask)\n"
            "  score = r1 ? score : -inf  (mask)\n"
            "  score = s2 ? score : -inf  (mask)\n");
}

TEST(TileLower, PrefixAndNeighbourhoodMasksAreFused) {
  const auto prefix = mask_mod([](auto, auto, auto q, auto kv) { return q >= kv || kv < 64; });
  EXPECT_NE(lowered({}, prefix).find("score = d1 | c1 ? score : -inf"), std::string::npos)
      << lowered({}, prefix);
  const auto natten = mask_mod([](auto, auto, auto q, auto kv) {
    return abs(q / 16 - kv / 16) <= 3 && abs(q % 16 - kv % 16) <= 3;
  });
  EXPECT_EQ(lowered({}, natten),
            "row, once a block of rows:\n"
            "  r1 = q / 16  (mask)\n"
            "  r2 = q % 16  (mask)\n"
            "column, once a tile:\n"
            "  c1 = kv / 16  (mask)\n"
            "  c2 = kv % 16  (mask)\n"
            "tile, every element:\n"
            "  score = abs(r1 - c1) <= mask.p0 ? score : -inf  (mask)\n"
            "  score = abs(r2 - c2) <= mask.p1 ? score : -inf  (mask)\n");
}

TEST(TileLower, MaskInAScoreModIsSplitToo) {
  const auto bottom = -std::numeric_limits<float>::infinity();
  const auto mod = score_mod([=](auto s, auto, auto, auto q, auto kv) {
    return where(q >= kv && kv % 3 != 1, s * 0.5f, bottom);
  });
  const std::string text = lowered(mod, {});
  EXPECT_NE(text.find("score = score * p"), std::string::npos) << text;
  EXPECT_NE(text.find("score = d1 & c1 ? score : -inf\n"), std::string::npos) << text;
}

TEST(TileLower, ResultWithoutScoresIsCopied) {
  const auto distance =
      score_mod([](auto, auto, auto, auto q, auto kv) { return to_float(q - kv); });
  EXPECT_NE(lowered(distance, {}).find("score = d1\n"), std::string::npos) << lowered(distance, {});
  const auto constant = score_mod([](auto, auto, auto, auto, auto) { return Value(2.5); });
  EXPECT_EQ(lowered(constant, {}), "tile, every element:\n  score = p0\n");
}

TEST(TileLower, SharedPartsAreComputedOnceForBothMods) {
  const auto score =
      score_mod([](auto s, auto, auto, auto q, auto kv) { return s * to_float(q - kv); });
  const auto mask = mask_mod([](auto, auto, auto q, auto kv) { return q - kv < 8; });
  EXPECT_EQ(lowered(score, mask),
            "diagonal, once a tile:\n"
            "  d1 = f32(q-kv)\n"
            "  d2 = q-kv < mask.p0  (mask)\n"
            "tile, every element:\n"
            "  score = score * d1\n"
            "  score = d2 ? score : -inf  (mask)\n");
}

// A literal's value is not part of the structure, so a plan serves every value.
TEST(TileLower, DependsOnStructureAlone) {
  const auto with = [](int64_t window, double factor) {
    const auto score = score_mod([=](auto s, auto, auto, auto, auto) { return s * factor; });
    const auto mask = mask_mod([=](auto, auto, auto q, auto kv) { return q - kv < window; });
    return lowered(score, mask);
  };
  EXPECT_EQ(with(8, 0.5), with(4096, 3.0));
}

TEST(TileLower, BuffersAreReused) {
  const auto mod = score_mod([](auto s, auto, auto, auto, auto) {
    Value x = s;
    for (int i = 0; i < 20; ++i) x = x + tanh(exp(x) - s);
    return x;
  });
  EXPECT_LE(lower(mod, {}).code().temp_slots, 3);
}

TEST(TileBind, WrongProgramIsAnInternalError) {
  const auto score = score_mod([](auto s, auto, auto, auto, auto) { return s * 2.0; });
  const auto other = score_mod([](auto s, auto, auto, auto, auto) { return s * 2.0 + 3.0; });
  try {
    bind(lower(score, {}), other, {});
    FAIL() << "no error";
  } catch (const InternalError& error) {
    EXPECT_STREQ(
        error.what(),
        "[bind] the programs must be the lowered ones: expected 1 parameters and 0 captures, "
        "got 2 and 0");
  }
}

TEST(TileBind, LargeIntegersTakeTheSlowPath) {
  const auto with = [](int64_t bound) {
    return mask_mod([=](auto, auto, auto q, auto kv) { return q * 2 + kv < bound; });
  };
  const Program small = with(1000), large = with(int64_t{1} << 40);
  const TileProgram program = lower({}, small);
  EXPECT_EQ(bind(program, {}, small).arguments().slow, nullptr);
  EXPECT_NE(bind(program, {}, large).arguments().slow, nullptr);
  EXPECT_NE(bind(program, {}, small, true).arguments().slow, nullptr);
}

}  // namespace
}  // namespace fovea::cpu
