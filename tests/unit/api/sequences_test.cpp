// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

/// Jagged batches and paged caches through the public functions.
namespace fovea {
namespace {

constexpr int64_t kHeads = 4, kKeyHeads = 2, kDim = 8;

std::vector<float> numbers(int64_t count, uint64_t seed) {
  std::vector<float> made(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = Random(seed).normal(i);
  return made;
}

void expect_close(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-6F) << i;
}

// Three sequences of 5, 0 and 7 queries against 3, 2 and 9 keys.
struct Jagged {
  Jagged() {
    options.cu_seqlens_q = view(q_ends.data(), {4});
    options.cu_seqlens_kv = view(kv_ends.data(), {4});
    options.lse = view(lse.data(), {1, kHeads, 12});
    options.score_mod = score_mod(
        [](auto s, auto b, auto, auto q, auto kv) { return s - 0.1F * (b + 1) * abs(q - kv); });
  }
  std::vector<int64_t> q_ends{0, 5, 5, 12}, kv_ends{0, 3, 5, 14};
  std::vector<float> queries = numbers(kHeads * 12 * kDim, 1),
                     keys = numbers(kKeyHeads * 14 * kDim, 2),
                     values = numbers(kKeyHeads * 14 * kDim, 3), result = queries,
                     expected = queries, lse = std::vector<float>(kHeads * 12);
  TensorView query = view(queries.data(), {1, kHeads, 12, kDim}),
             key = view(keys.data(), {1, kKeyHeads, 14, kDim}),
             value = view(values.data(), {1, kKeyHeads, 14, kDim}),
             out = view(result.data(), {1, kHeads, 12, kDim}),
             reference = view(expected.data(), {1, kHeads, 12, kDim});
  FlexOptions options;
};

TEST(FlexAttentionSequences, EqualTheReference) {
  Jagged call;
  flex_attention(call.query, call.key, call.value, call.out, call.options);
  const std::vector<float> lse = call.lse;
  reference_attention(call.query, call.key, call.value, call.reference, call.options);
  expect_close(call.result, call.expected);
  expect_close(lse, call.lse);
}

TEST(FlexAttentionSequences, ReferenceRowCountsWithinASequence) {
  Jagged call;
  reference_attention(call.query, call.key, call.value, call.reference, call.options);
  std::vector<double> row(kDim);
  const double lse = reference_row(call.query, call.key, call.value, call.options, 2, 1, 6, row);
  EXPECT_FLOAT_EQ(static_cast<float>(lse), call.lse[12 + 11]);
  for (std::size_t d = 0; d < kDim; ++d) {
    EXPECT_FLOAT_EQ(static_cast<float>(row[d]), call.expected[(12 + 11) * kDim + d]);
  }
  try {
    reference_row(call.query, call.key, call.value, call.options, 0, 1, 5, row);
    FAIL() << "no error";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(),
                 "[reference_row] q must be a query position: expected 0 to 4, got 5");
  }
}

TEST(FlexAttentionSequences, ExplainShowsThem) {
  const Jagged call;
  const std::string text = explain(call.query, call.key, call.value, call.out, call.options);
  for (const char* part : {"query [1, 4, 12, 8] f32, key [1, 2, 14, 8] f32",
                           "sequences: 3 of 0 to 7 queries and 2 to 9 keys\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

// A server's decoding step: one query a sequence, a cache of [pages, page size, heads, dim].
TEST(FlexAttentionSequences, PagedDecoding) {
  constexpr int64_t kPages = 6, kPageSize = 4;
  const auto cache_k = numbers(kPages * kPageSize * kKeyHeads * kDim, 4);
  const auto cache_v = numbers(kPages * kPageSize * kKeyHeads * kDim, 5);
  const Dims sizes{kPages, kKeyHeads, kPageSize, kDim};
  const Dims strides{kPageSize * kKeyHeads * kDim, kDim, kKeyHeads * kDim, 1};
  const auto key = view(cache_k.data(), sizes, strides);
  const auto value = view(cache_v.data(), sizes, strides);
  const auto q = numbers(2 * kHeads * kDim, 6);
  std::vector<float> result(q), expected(q);
  const auto query = view(q.data(), {2, kHeads, 1, kDim});
  const std::vector<int32_t> table{5, 2, -1, 0, 4, 1}, lengths{7, 12};
  FlexOptions options;
  options.page_table = view(table.data(), {2, 3});
  options.kv_lens = view(lengths.data(), {2});
  // The query stands behind the last key.
  const Capture length = capture(view(lengths.data(), {2}));
  options.score_mod = score_mod(
      [=](auto s, auto b, auto, auto, auto kv) { return s - 0.1F * (length[b] - 1 - kv); });
  const auto out = view(result.data(), {2, kHeads, 1, kDim});
  flex_attention(query, key, value, out, options);
  reference_attention(query, key, value, view(expected.data(), {2, kHeads, 1, kDim}), options);
  expect_close(result, expected);

  // By hand, sequence 1, head 3: logical key 6 lies in page 4, row 2.
  double sum = 0, first = 0;
  for (int64_t kv = 0; kv < 12; ++kv) {
    const int64_t page = table[static_cast<std::size_t>(3 + kv / 4)];
    double score = 0;
    for (int64_t d = 0; d < kDim; ++d) {
      const int64_t at = page * strides[0] + strides[1] + kv % 4 * strides[2] + d;
      score += static_cast<double>(q[static_cast<std::size_t>((kHeads + 3) * kDim + d)]) *
               static_cast<double>(cache_k[static_cast<std::size_t>(at)]);
    }
    const double weight = std::exp(score / std::sqrt(8.0) - 0.1 * static_cast<double>(11 - kv));
    const int64_t at = page * strides[0] + strides[1] + kv % 4 * strides[2];
    sum += weight;
    first += weight * static_cast<double>(cache_v[static_cast<std::size_t>(at)]);
  }
  EXPECT_NEAR(result[static_cast<std::size_t>((kHeads + 3) * kDim)], first / sum, 2e-6);

  const std::string text = explain(query, key, value, out, options);
  for (const char* part : {"sequences: 2 of 1 to 1 queries and 7 to 12 keys\n",
                           "pages of 4 keys, 6 of them; page_table [2, 3] i32\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

}  // namespace
}  // namespace fovea
