// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

namespace fovea {
namespace {

// What a row of q alone gives leaves the inner loop; the whole runs in the fused kernel.
TEST(FlexAttention, ReadsRowsAsVectors) {
  constexpr int64_t kLength = 70, kWidth = 128, kDim = 16;
  std::vector<float> embedding(kLength * kWidth), q(kLength * kDim), k(q), v(q), out(q),
      expected(q);
  for (std::size_t i = 0; i < embedding.size(); ++i) embedding[i] = 0.1F * Random(4).normal(i);
  for (std::size_t i = 0; i < q.size(); ++i) {
    q[i] = Random(5).normal(i), k[i] = Random(6).normal(i), v[i] = Random(7).normal(i);
  }
  const Capture rows = capture(view(embedding.data(), {kLength, kWidth}));
  const auto mod = score_mod([=](auto s, auto, auto, auto i, auto j) {
    return s + dot(rows.row(i), rows.row(j)) - max(rows.row(i));
  });
  const Dims shape{1, 1, kLength, kDim};
  const auto of = [&](std::vector<float>& data) { return view(data.data(), shape); };
  flex_attention(of(q), of(k), of(v), of(out), {.score_mod = mod});
  for (int64_t i = 0; i < kLength; ++i) {
    std::vector<double> weight(kLength);
    double total = 0, most = -1e30;
    for (int64_t c = 0; c < kWidth; ++c) {
      most = std::max(most, double{embedding[static_cast<std::size_t>(i * kWidth + c)]});
    }
    for (int64_t j = 0; j < kLength; ++j) {
      double score = 0, bias = 0;
      for (int64_t d = 0; d < kDim; ++d) {
        score += double{q[static_cast<std::size_t>(i * kDim + d)]} *
                 double{k[static_cast<std::size_t>(j * kDim + d)]};
      }
      for (int64_t c = 0; c < kWidth; ++c) {
        bias += double{embedding[static_cast<std::size_t>(i * kWidth + c)]} *
                double{embedding[static_cast<std::size_t>(j * kWidth + c)]};
      }
      total += weight[static_cast<std::size_t>(j)] = std::exp(score / 4 + bias - most);
    }
    for (int64_t d = 0; d < kDim; ++d) {
      double sum_of_values = 0;
      for (int64_t j = 0; j < kLength; ++j) {
        sum_of_values += weight[static_cast<std::size_t>(j)] / total *
                         double{v[static_cast<std::size_t>(j * kDim + d)]};
      }
      ASSERT_NEAR(out[static_cast<std::size_t>(i * kDim + d)], sum_of_values, 2e-6);
    }
  }
}

}  // namespace
}  // namespace fovea
