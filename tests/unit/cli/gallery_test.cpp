// SPDX-License-Identifier: Apache-2.0
// Every variant of the gallery: its programs, run by the kernels, against its plain form in float64.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>
#include "gallery/variant.h"

namespace fovea::gallery {
namespace {

constexpr int64_t kDim = 8, kBatch = 2, kHeads = 4, kKvHeads = 2;

struct Arrays {
  Arrays(int64_t q_len, int64_t kv_len)
      : q_sizes{kBatch, kHeads, q_len, kDim}, kv_sizes{kBatch, kKvHeads, kv_len, kDim} {
    query = normal(1, kBatch * kHeads * q_len * kDim);
    key = normal(2, kBatch * kKvHeads * kv_len * kDim);
    value = normal(3, kBatch * kKvHeads * kv_len * kDim);
    out.resize(query.size());
  }
  static std::vector<float> normal(uint64_t seed, int64_t n) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = Random(seed).normal(i);
    return values;
  }
  Dims q_sizes, kv_sizes;
  std::vector<float> query, key, value, out;
};

// The scores of a row by loops, then the plain form, softmax and weighted sum in float64.
std::vector<double> expected_row(const Arrays& a, const Variant& variant, const Row& row,
                                 int64_t kv_len) {
  const int64_t kv_plane = (row.b * kKvHeads + row.h / (kHeads / kKvHeads)) * kv_len;
  const int64_t q_at = ((row.b * kHeads + row.h) * a.q_sizes[2] + row.q) * kDim;
  std::vector<float> scores(static_cast<std::size_t>(kv_len));
  for (int64_t kv = 0; kv < kv_len; ++kv) {
    double sum = 0;
    for (int64_t d = 0; d < kDim; ++d) {
      sum += double{at(a.query, q_at + d)} * double{at(a.key, (kv_plane + kv) * kDim + d)};
    }
    scores[static_cast<std::size_t>(kv)] = static_cast<float>(sum / std::sqrt(double{kDim}));
  }
  variant.plain(scores, row);
  std::vector<double> result(kDim);
  const float most = *std::max_element(scores.begin(), scores.end());
  if (most == kHidden) return result;
  double total = 0;
  for (int64_t kv = 0; kv < kv_len; ++kv) {
    const double weight = std::exp(double{at(scores, kv)} - double{most});
    total += weight;
    for (int64_t d = 0; d < kDim; ++d) {
      result[static_cast<std::size_t>(d)] +=
          weight * double{at(a.value, (kv_plane + kv) * kDim + d)};
    }
  }
  for (double& x : result) x /= total;
  return result;
}

double difference(const Variant& variant, int64_t q_len, int64_t kv_len) {
  Arrays a(q_len, kv_len);
  FlexOptions options;
  options.score_mod = variant.score_mod;
  if (variant.mask_mod) {
    options.block_mask =
        create_block_mask(variant.mask_mod, {q_len, kv_len, kBatch, kHeads, {.q = 64, .kv = 32}});
  }
  flex_attention(view(a.query.data(), a.q_sizes), view(a.key.data(), a.kv_sizes),
                 view(a.value.data(), a.kv_sizes), view(a.out.data(), a.q_sizes), options);
  double worst = 0;
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t q = 0; q < q_len; ++q) {
        const auto expected = expected_row(a, variant, {b, h, q}, kv_len);
        for (int64_t d = 0; d < kDim; ++d) {
          const double off =
              std::abs(at(a.out, ((b * kHeads + h) * q_len + q) * kDim + d) - at(expected, d));
          if (!(off <= worst)) worst = off;  // a NaN stays
        }
      }
    }
  }
  return worst;
}

Shape shape_of(int64_t q_len, int64_t kv_len) {
  Shape shape{.q_len = q_len, .kv_len = kv_len, .heads = kHeads};
  shape.batch = kBatch;
  return shape;
}

// Every block as the plain form classifies it, element by element.
void check_blocks(const Variant& variant, int64_t q_len, int64_t kv_len) {
  const BlockSize size{.q = 16, .kv = 32};
  const BlockMask mask = create_block_mask(variant.mask_mod, {q_len, kv_len, kBatch, kHeads, size});
  for (int64_t b = 0; b < mask.batch(); ++b) {
    for (int64_t h = 0; h < mask.heads(); ++h) {
      for (int64_t r = 0; r < mask.rows(); ++r) {
        std::vector<int64_t> allowed(static_cast<std::size_t>(mask.columns()));
        const int64_t last = std::min(q_len, (r + 1) * size.q);
        for (int64_t q = r * size.q; q < last; ++q) {
          std::vector<float> scores(static_cast<std::size_t>(kv_len), 0.0F);
          variant.plain(scores, {b, h, q});
          for (int64_t kv = 0; kv < kv_len; ++kv) {
            allowed[static_cast<std::size_t>(kv / size.kv)] += at(scores, kv) != kHidden ? 1 : 0;
          }
        }
        std::vector<int> kinds(allowed.size());  // 0 skipped, 1 partial, 2 full
        for (const BlockRun& run : mask.partial(b, h, r)) {
          std::fill(kinds.begin() + run.begin, kinds.begin() + run.end, 1);
        }
        for (const BlockRun& run : mask.full(b, h, r)) {
          std::fill(kinds.begin() + run.begin, kinds.begin() + run.end, 2);
        }
        for (std::size_t c = 0; c < kinds.size(); ++c) {
          const int expected = allowed[c] == 0 ? 0 : allowed[c] == size.q * size.kv ? 2 : 1;
          ASSERT_EQ(kinds[c], expected) << "b " << b << " h " << h << " block " << r << ", " << c;
        }
      }
    }
  }
}

class Gallery : public testing::TestWithParam<std::string> {};

TEST_P(Gallery, RunsAsItsPlainForm) {
  for (const int64_t length : {1, 37, 129, 300}) {
    const Variant variant = make_variant(GetParam(), shape_of(length, length));
    EXPECT_LT(difference(variant, length, length), 2e-5) << "length " << length;
  }
}

TEST_P(Gallery, RunsWithOtherKeys) {
  const Variant variant = make_variant(GetParam(), shape_of(70, 150));
  EXPECT_LT(difference(variant, 70, 150), 2e-5);
}

TEST_P(Gallery, BlocksAreWhatTheElementsSay) {
  for (const int64_t length : {1, 100, 256}) {
    const Variant variant = make_variant(GetParam(), shape_of(length, length));
    if (variant.score_mod) continue;  // its plain form hides nothing, or not only by the mask
    if (variant.mask_mod) check_blocks(variant, length, length);
  }
}

// However long the sequence: neither the plane nor its blocks are looked at one by one.
TEST_P(Gallery, BuildingCostsTheBlocksListed) {
  constexpr int64_t kLength = 32768;
  if (!make_variant(GetParam(), shape_of(64, 64)).mask_mod) return;
  const Variant variant = make_variant(GetParam(), {.q_len = kLength, .kv_len = kLength});
  const BlockMask mask = create_block_mask(variant.mask_mod, {kLength, kLength, 1, 1, {}});
  int64_t listed = mask.rows() + mask.counts().partial;
  for (int64_t r = 0; r < mask.rows(); ++r) {
    listed += static_cast<int64_t>(mask.full(0, 0, r).size());  // runs
  }
  EXPECT_LT(mask.stats().boxes, 32 * listed);
}

TEST_P(Gallery, IsDescribed) {
  const Variant variant = make_variant(GetParam(), shape_of(64, 64));
  EXPECT_EQ(variant.name, GetParam());
  EXPECT_FALSE(variant.description.empty());
  EXPECT_FALSE(variant.formula.empty());
  EXPECT_FALSE(variant.source.empty());
}

INSTANTIATE_TEST_SUITE_P(Variants, Gallery, testing::ValuesIn(variant_names()),
                         [](const auto& test) { return test.param; });

TEST(GalleryList, HasEveryFile) {
  std::vector<std::string> files, names = variant_names();
  for (const auto& entry :
       std::filesystem::directory_iterator(FOVEA_SOURCE_DIR "/examples/gallery")) {
    if (entry.path().extension() == ".cpp" && entry.path().stem() != "variant") {
      files.push_back(entry.path().stem());
    }
  }
  std::sort(files.begin(), files.end());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(files, names);
}

TEST(GalleryList, ParametersChangeBothForms) {
  Shape shape = shape_of(200, 200);
  shape.parameters = {{"window", 3}};
  const Variant narrow = make_variant("sliding_window", shape);
  EXPECT_LT(difference(narrow, 200, 200), 1e-5);
  EXPECT_NE(narrow.mask_mod.to_string(),
            make_variant("sliding_window", shape_of(200, 200)).mask_mod.to_string());
  shape.parameters = {{"width", 10}, {"kernel", 5}};
  EXPECT_LT(difference(make_variant("natten", shape), 200, 200), 1e-5);
}

// A comparison that could not tell two variants apart would prove nothing.
TEST(GalleryList, PlainFormsDiffer) {
  Variant variant = make_variant("sliding_window", shape_of(200, 200));
  variant.plain = make_variant("causal", shape_of(200, 200)).plain;
  EXPECT_GT(difference(variant, 200, 200), 1e-3);
}

TEST(GalleryList, GivenDocumentsAreUsed) {
  Shape shape = shape_of(6, 6);
  shape.documents = {0, 0, 1, 1, 1, 2};
  const Variant variant = make_variant("document", shape);
  std::vector<float> scores(6, 0.0F);
  variant.plain(scores, {0, 0, 4});
  for (std::size_t kv = 0; kv < 6; ++kv) EXPECT_EQ(scores[kv] == 0, kv >= 2 && kv <= 4) << kv;
}

}  // namespace
}  // namespace fovea::gallery
