// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

namespace fovea {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Attention of 2 batches, 4 heads on 2, over 100 keys: whole, and in parts.
class Merge : public testing::Test {
 protected:
  static constexpr int64_t kKeys = 100, kQueries = 5, kDim = 24;
  static constexpr std::size_t kRows = 2 * 4 * kQueries;

  static std::vector<float> normal(std::size_t count, uint64_t seed) {
    std::vector<float> data(count);
    for (std::size_t i = 0; i < count; ++i) data[i] = Random(seed).normal(i);
    return data;
  }
  struct Part {
    std::vector<float> out = std::vector<float>(kRows * kDim, kNan);
    std::vector<float> lse = std::vector<float>(kRows, kNan);
    PartialAttention view() {
      return {fovea::view(out.data(), {2, 4, kQueries, kDim}),
              fovea::view(lse.data(), {2, 4, kQueries})};
    }
  };
  // Keys [first, last).
  Part attend(int64_t first, int64_t last) {
    const auto keys = [&](std::vector<float>& data) {
      TensorView all = view(data.data(), {2, 2, kKeys, kDim});
      all.data = data.data() + first * kDim;
      all.sizes[2] = last - first;
      return all;
    };
    Part part;
    flex_attention(view(q_.data(), {2, 4, kQueries, kDim}), keys(k_), keys(v_), part.view().out,
                   {.lse = part.view().lse});
    return part;
  }
  static void expect_near(const std::vector<float>& got, const std::vector<float>& expected,
                          float tolerance) {
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << i;
    }
  }

  std::vector<float> q_ = normal(kRows * kDim, 1), k_ = normal(2 * 2 * kKeys * kDim, 2);
  std::vector<float> v_ = normal(2 * 2 * kKeys * kDim, 3);
};

TEST_F(Merge, PartsGiveTheWhole) {
  const Part whole = attend(0, kKeys);
  for (const std::vector<int64_t>& cuts :
       {std::vector<int64_t>{0, 100}, {0, 50, 100}, {0, 1, 7, 7, 60, 100}, {0, 0, 99, 100}}) {
    std::vector<Part> parts;
    std::vector<PartialAttention> views;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) parts.push_back(attend(cuts[i], cuts[i + 1]));
    for (Part& part : parts) views.push_back(part.view());
    Part merged;
    merge_attention(views, merged.view().out, {.lse = merged.view().lse});
    expect_near(merged.out, whole.out, 1e-5f);
    expect_near(merged.lse, whole.lse, 1e-5f);
  }
}

TEST_F(Merge, IntoAPartItself) {
  const Part whole = attend(0, kKeys);
  Part sum = attend(0, 30);
  for (const int64_t first : {30, 60}) {
    Part next = attend(first, first == 30 ? 60 : kKeys);
    const PartialAttention views[] = {sum.view(), next.view()};
    merge_attention(views, sum.view().out, {.lse = sum.view().lse});
  }
  expect_near(sum.out, whole.out, 1e-5f);
  expect_near(sum.lse, whole.lse, 1e-5f);
}

TEST_F(Merge, SameBitsForAnyNumberOfThreads) {
  Part a = attend(0, 40), b = attend(40, 100), one, three;
  const PartialAttention views[] = {a.view(), b.view()};
  const auto single = make_thread_pool(1), several = make_thread_pool(3);
  merge_attention(views, one.view().out, {.lse = one.view().lse, .executor = single.get()});
  merge_attention(views, three.view().out, {.lse = three.view().lse, .executor = several.get()});
  EXPECT_EQ(one.out, three.out);
  EXPECT_EQ(one.lse, three.lse);
}

/// One row of two values.
struct Row {
  float out[2];
  float lse;
  PartialAttention view() { return {fovea::view(out, {1, 1, 1, 2}), fovea::view(&lse, {1, 1, 1})}; }
};

Row merged(Row a, Row b) {
  Row result{{kNan, kNan}, kNan};
  const PartialAttention parts[] = {a.view(), b.view()};
  merge_attention(parts, result.view().out, {.lse = result.view().lse});
  return result;
}

TEST(MergeRow, WeighsByLse) {
  const Row r = merged({{1, 2}, std::log(1.0f)}, {{5, 6}, std::log(3.0f)});
  EXPECT_FLOAT_EQ(r.out[0], 4);
  EXPECT_FLOAT_EQ(r.out[1], 5);
  EXPECT_FLOAT_EQ(r.lse, std::log(4.0f));
}

TEST(MergeRow, PartsWithoutKeysAreNotRead) {
  const Row r = merged({{kNan, kInf}, -kInf}, {{5, 6}, 700.0f});
  EXPECT_EQ(r.out[0], 5);
  EXPECT_EQ(r.out[1], 6);
  EXPECT_EQ(r.lse, 700.0f);
  const Row none = merged({{kNan, kInf}, -kInf}, {{1, 2}, -kInf});
  EXPECT_EQ(none.out[0], 0);
  EXPECT_EQ(none.out[1], 0);
  EXPECT_EQ(none.lse, -kInf);
}

TEST(MergeRow, ExtremeLse) {
  // Beyond what exp can hold, and far apart.
  Row r = merged({{1, 2}, 1e30f}, {{5, 6}, -1e30f});
  EXPECT_EQ(r.out[0], 1);
  EXPECT_EQ(r.lse, 1e30f);
  for (const float bad : {kNan, kInf}) {
    r = merged({{1, 2}, bad}, {{5, 6}, 0});
    EXPECT_TRUE(std::isnan(r.out[0]) && std::isnan(r.lse));
    r = merged({{1, 2}, 0}, {{5, 6}, bad});
    EXPECT_TRUE(std::isnan(r.out[1]) && std::isnan(r.lse));
  }
}

TEST(MergeRow, SinksAreAPartWithoutValues) {
  float out[2] = {4, 8}, lse = 0, sink = std::log(3.0f), zero = 0;
  const PartialAttention parts[] = {
      {view(out, {1, 1, 1, 2}), view(&lse, {1, 1, 1})},
      {view(&zero, {1, 1, 1, 2}, {0, 0, 0, 0}), view(&sink, {1, 1, 1}, {0, 0, 0})}};
  merge_attention(parts, parts[0].out, {.lse = parts[0].lse});
  EXPECT_FLOAT_EQ(out[0], 1);
  EXPECT_FLOAT_EQ(out[1], 2);
  EXPECT_FLOAT_EQ(lse, std::log(4.0f));
}

// Each part and the result in a dtype of its own, with strides of its own.
TEST(MergeRow, EveryDTypeAndStride) {
  const float a[] = {1, 2, 3}, b[] = {-4, 0.5f, 8};
  double wide[6] = {1, -1, 2, -1, 3, -1};
  BFloat16 bf16[3];
  Float16 f16[3];
  for (int i = 0; i < 3; ++i) {
    bf16[i] = BFloat16(a[2 - i]);
    f16[i] = Float16(b[i]);
  }
  double lse_a = 0.25;
  float lse_b = -0.5f;
  const Dims sizes{1, 1, 1, 3};
  const TensorView as[] = {view(wide, sizes, {0, 0, 0, 2}), view(a, sizes),
                           view(bf16 + 2, sizes, {0, 0, 0, -1})};
  const TensorView bs[] = {view(b, sizes), view(f16, sizes)};
  const double weight = 1 / (1 + std::exp(-0.75));
  for (const TensorView& first : as) {
    for (const TensorView& second : bs) {
      const PartialAttention parts[] = {{first, view(&lse_a, {1, 1, 1})},
                                        {second, view(&lse_b, {1, 1, 1})}};
      double exact[3], lse = 0;
      BFloat16 narrow[3];
      merge_attention(parts, view(exact, sizes), {.lse = view(&lse, {1, 1, 1})});
      merge_attention(parts, view(narrow, sizes));
      EXPECT_DOUBLE_EQ(lse, std::log(std::exp(0.25) + std::exp(-0.5)));
      for (int i = 0; i < 3; ++i) {
        const double expected =
            weight * static_cast<double>(a[i]) + (1 - weight) * static_cast<double>(b[i]);
        EXPECT_NEAR(exact[i], expected, 1e-15);
        EXPECT_EQ(narrow[i].bits, BFloat16(static_cast<float>(exact[i])).bits);
      }
    }
  }
}

TEST(MergeRow, NothingToDo) {
  float x = 7;
  const PartialAttention parts[] = {{view(&x, {1, 0, 3, 2}), view(&x, {1, 0, 3})}};
  merge_attention(parts, view(&x, {1, 0, 3, 2}));
  EXPECT_EQ(x, 7);
}

}  // namespace
}  // namespace fovea
