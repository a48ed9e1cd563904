// SPDX-License-Identifier: Apache-2.0
#include "gallery.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include <fovea/attention.h>
#include "attention_data.h"
#include "plain_dense.h"

namespace fovea::cli {
namespace {

// The largest difference between the plain formula and the program, by the float64 reference.
double difference(const Variant& variant, int64_t length, int64_t heads) {
  constexpr int64_t kDim = 8;
  AttentionData data = AttentionData::random(heads, length, kDim);
  FlexOptions options;
  options.score_mod = variant.score_mod;
  if (variant.mask_mod) {
    options.block_mask = create_block_mask(variant.mask_mod, {length, length, 1, heads, {}});
  }
  reference_attention(data.query(), data.key(), data.value(), data.out(), options);
  std::vector<float> plain(data.result().size());
  plain_dense(data.plain(), variant.plain, plain.data(), default_executor());
  double largest = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double off = std::abs(static_cast<double>(plain[i] - data.result()[i]));
    if (std::isnan(off)) return off;
    largest = std::max(largest, off);
  }
  return largest;
}

class Variants : public testing::TestWithParam<std::string> {};

TEST_P(Variants, SayTheSameAsPrograms) {
  for (const int64_t length : {1, 37, 300}) {
    const Variant variant = make_variant(GetParam(), {length, length, 3, {}, {}});
    EXPECT_LT(difference(variant, length, 3), 1e-5) << "length " << length;
  }
}

TEST_P(Variants, AreDescribed) {
  const Variant variant = make_variant(GetParam(), {});
  EXPECT_EQ(variant.name, GetParam());
  EXPECT_FALSE(variant.description.empty());
  EXPECT_FALSE(variant.formula.empty());
}

INSTANTIATE_TEST_SUITE_P(Gallery, Variants, testing::ValuesIn(variant_names()),
                         [](const auto& test) { return test.param; });

TEST(Gallery, ParametersChangeBothForms) {
  const Variant narrow = make_variant("sliding_window", {200, 200, 2, {}, {{"window", 3}}});
  EXPECT_LT(difference(narrow, 200, 2), 1e-5);
  EXPECT_NE(narrow.mask_mod.to_string(),
            make_variant("sliding_window", {200, 200, 2, {}, {}}).mask_mod.to_string());
  const Variant canvas = make_variant("natten", {200, 200, 2, {}, {{"width", 10}, {"kernel", 5}}});
  EXPECT_LT(difference(canvas, 200, 2), 1e-5);
}

// A comparison that could not tell two variants apart would prove nothing.
TEST(Gallery, PlainFormsDiffer) {
  Variant variant = make_variant("sliding_window", {200, 200, 2, {}, {}});
  variant.plain = make_variant("causal", {200, 200, 2, {}, {}}).plain;
  EXPECT_GT(difference(variant, 200, 2), 1e-3);
}

TEST(Gallery, GivenDocumentsAreUsed) {
  const std::vector<int32_t> ids{0, 0, 1, 1, 1, 2};
  const Variant variant = make_variant("document", {6, 6, 1, ids, {}});
  std::vector<float> scores(6, 0.0F);
  variant.plain(scores, 0, 4);
  for (std::size_t kv = 0; kv < 6; ++kv) EXPECT_EQ(scores[kv] == 0, kv >= 2 && kv <= 4) << kv;
}

TEST(Gallery, TablesOutliveTheShape) {
  Variant variant;
  {
    const VariantShape shape{64, 64, 2, std::vector<int32_t>(64, 7), {}};
    variant = make_variant("document", shape);
  }
  EXPECT_LT(difference(variant, 64, 2), 1e-5);
}

}  // namespace
}  // namespace fovea::cli
