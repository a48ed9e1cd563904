// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

/// chunked_attention against dense loops in double.
namespace fovea {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Shape {
  int64_t batch = 2, heads = 4, key_heads = 2, q_len = 130, kv_len = 70, dim = 9, value_dim = 5;
};

std::vector<float> normal(int64_t count, uint64_t seed) {
  std::vector<float> data(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = Random(seed).normal(i);
  return data;
}

// A tensor over (b, h, q, kv) in which an axis may have size 1.
template <class T>
struct Spread {
  Dims sizes;
  std::vector<T> data;

  Spread(const Dims& dims, std::vector<T> values) : sizes(dims), data(std::move(values)) {}
  T at(int64_t b, int64_t h, int64_t q, int64_t kv) const {
    const int64_t index[] = {b, h, q, kv};
    int64_t position = 0;
    for (int i = 0; i < 4; ++i) position = position * sizes[i] + (sizes[i] == 1 ? 0 : index[i]);
    return data[static_cast<std::size_t>(position)];
  }
};
using Bias = Spread<float>;
using Mask = Spread<uint8_t>;

TensorView view_of(const Bias& bias) { return view(bias.data.data(), bias.sizes); }
TensorView view_of(const Mask& mask) {
  TensorView tensor = view(mask.data.data(), mask.sizes);
  tensor.dtype = DType::boolean;
  return tensor;
}

struct Call {
  explicit Call(const Shape& s) : shape(s) {
    query = normal(s.batch * s.heads * s.q_len * s.dim, 1);
    key = normal(s.batch * s.key_heads * s.kv_len * s.dim, 2);
    value = normal(s.batch * s.key_heads * s.kv_len * s.value_dim, 3);
    out.resize(static_cast<std::size_t>(s.batch * s.heads * s.q_len * s.value_dim), kNan);
    lse.resize(static_cast<std::size_t>(s.batch * s.heads * s.q_len), kNan);
  }

  // Stored as the layout says.
  TensorView tensor(const std::vector<float>& data, int64_t heads, int64_t length,
                    int64_t dim) const {
    if (options.layout == Layout::bhne) return view(data.data(), {shape.batch, heads, length, dim});
    return view(data.data(), {shape.batch, length, heads, dim});
  }
  float element(const std::vector<float>& data, int64_t heads, int64_t length, int64_t dim,
                int64_t b, int64_t h, int64_t n, int64_t e) const {
    const int64_t row = options.layout == Layout::bhne ? (b * heads + h) * length + n
                                                       : (b * length + n) * heads + h;
    return data[static_cast<std::size_t>(row * dim + e)];
  }

  void run() {
    const Shape& s = shape;
    options.lse = view(lse.data(), {s.batch, s.heads, s.q_len});
    if (bias) options.bias = view_of(*bias);
    if (mask) options.mask = view_of(*mask);
    chunked_attention(tensor(query, s.heads, s.q_len, s.dim),
                      tensor(key, s.key_heads, s.kv_len, s.dim),
                      tensor(value, s.key_heads, s.kv_len, s.value_dim),
                      tensor(out, s.heads, s.q_len, s.value_dim), options);
  }

  bool allowed(int64_t b, int64_t h, int64_t q, int64_t kv) const {
    if (mask && mask->at(b, h, q, kv) == 0) return false;
    switch (options.causal) {
      case Causal::none: return true;
      case Causal::upper_left: return kv <= q;
      case Causal::lower_right: return kv <= q + shape.kv_len - shape.q_len;
    }
    return true;
  }

  double score(int64_t b, int64_t h, int64_t q, int64_t kv) const {
    const Shape& s = shape;
    double sum = 0;
    for (int64_t e = 0; e < s.dim; ++e) {
      sum += static_cast<double>(element(query, s.heads, s.q_len, s.dim, b, h, q, e)) *
             static_cast<double>(
                 element(key, s.key_heads, s.kv_len, s.dim, b, h / (s.heads / s.key_heads), kv, e));
    }
    sum *= options.scale.value_or(1 / std::sqrt(static_cast<double>(s.dim)));
    return bias ? sum + static_cast<double>(bias->at(b, h, q, kv)) : sum;
  }

  // Row (b, h, q) of what is expected: value_dim numbers, then lse.
  std::vector<double> expected(int64_t b, int64_t h, int64_t q) const {
    const Shape& s = shape;
    const double none = -std::numeric_limits<double>::infinity();
    std::vector<double> scores;
    double largest = none, sum = 0;
    for (int64_t kv = 0; kv < s.kv_len; ++kv) {
      scores.push_back(allowed(b, h, q, kv) ? score(b, h, q, kv) : none);
      largest = std::max(largest, scores.back());
    }
    std::vector<double> row(static_cast<std::size_t>(s.value_dim) + 1);
    row.back() = none;
    if (largest == none) return row;
    for (double& x : scores) sum += (x = std::exp(x - largest));
    for (int64_t e = 0; e < s.value_dim; ++e) {
      for (int64_t kv = 0; kv < s.kv_len; ++kv) {
        const double weight = scores[static_cast<std::size_t>(kv)];
        if (weight == 0) continue;
        const float v = element(value, s.key_heads, s.kv_len, s.value_dim, b,
                                h / (s.heads / s.key_heads), kv, e);
        row[static_cast<std::size_t>(e)] += weight / sum * static_cast<double>(v);
      }
    }
    row.back() = largest + std::log(sum);
    return row;
  }

  ::testing::AssertionResult is_right() {
    run();
    const Shape& s = shape;
    for (int64_t row = 0; row < s.batch * s.heads * s.q_len; ++row) {
      const int64_t b = row / s.q_len / s.heads, h = row / s.q_len % s.heads, q = row % s.q_len;
      const std::vector<double> want = expected(b, h, q);
      for (int64_t e = 0; e <= s.value_dim; ++e) {
        const double got = static_cast<double>(
            e == s.value_dim ? lse[static_cast<std::size_t>(row)]
                             : element(out, s.heads, s.q_len, s.value_dim, b, h, q, e));
        const double wanted = want[static_cast<std::size_t>(e)];
        if (got == wanted || std::abs(got - wanted) <= 4e-6 * (1 + std::abs(wanted))) continue;
        return ::testing::AssertionFailure()
               << (e == s.value_dim ? "lse" : "out") << " of row " << row << ", entry " << e << ": "
               << got << ", expected " << wanted;
      }
    }
    return ::testing::AssertionSuccess();
  }

  Shape shape;
  std::vector<float> query, key, value, out, lse;
  std::optional<Bias> bias;
  std::optional<Mask> mask;
  ChunkedOptions options;
};

// Bit i of `spread`: axis i has size 1.
Dims spread_sizes(const Shape& s, int spread) {
  const auto size = [&](int axis, int64_t n) { return (spread >> axis & 1) != 0 ? 1 : n; };
  return {size(0, s.batch), size(1, s.heads), size(2, s.q_len), size(3, s.kv_len)};
}
int64_t count(const Dims& sizes) { return sizes[0] * sizes[1] * sizes[2] * sizes[3]; }

Mask random_mask(const Dims& sizes, uint64_t seed, int64_t of) {
  std::vector<uint8_t> bytes(static_cast<std::size_t>(count(sizes)));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = Random(seed).below(i, of) != 0;
  return {sizes, bytes};
}

TEST(ChunkedAttention, PlainInBothLayouts) {
  for (const Layout layout : {Layout::bhne, Layout::bnhe}) {
    Call call({});
    call.options.layout = layout;
    EXPECT_TRUE(call.is_right());
    call.options.scale = -0.3;
    EXPECT_TRUE(call.is_right());
  }
}

TEST(ChunkedAttention, RaggedLengths) {
  for (const int64_t q_len : {0, 1, 7, 129}) {
    for (const int64_t kv_len : {0, 1, 127, 1023}) {
      Call call({.batch = 1, .heads = 2, .key_heads = 1, .q_len = q_len, .kv_len = kv_len});
      call.options.layout = Layout::bnhe;
      call.bias = Bias({1, 1, q_len, kv_len}, normal(q_len * kv_len, 4));
      call.mask = random_mask({1, 1, q_len, kv_len}, 5, 3);
      EXPECT_TRUE(call.is_right()) << q_len << " x " << kv_len;
    }
  }
}

TEST(ChunkedAttention, BiasOfSizeOneInAnyDimension) {
  for (int spread = 0; spread < 16; ++spread) {
    Call call({.q_len = 20, .kv_len = 300});
    const Dims sizes = spread_sizes(call.shape, spread);
    call.bias = Bias(sizes, normal(count(sizes), 6));
    EXPECT_TRUE(call.is_right()) << to_string(sizes);
  }
}

TEST(ChunkedAttention, MaskOfSizeOneInAnyDimension) {
  for (int spread = 0; spread < 16; ++spread) {
    Call call({.q_len = 20, .kv_len = 300});
    const Dims sizes = spread_sizes(call.shape, spread);
    call.mask = random_mask(sizes, 7, 2);  // of size (1, 1, 1, 1) it forbids all
    EXPECT_TRUE(call.is_right()) << to_string(sizes);
  }
}

TEST(ChunkedAttention, AMaskOfTwoDimensionsIsOfKeys) {
  Call call({.kv_len = 300});
  const Mask padded = random_mask({2, 1, 1, 300}, 8, 2);
  call.mask = padded;
  call.run();
  const std::vector<float> four = call.out;
  TensorView two = view(padded.data.data(), {2, 300});
  two.dtype = DType::boolean;
  call.mask.reset();
  call.options.mask = two;
  call.run();
  EXPECT_EQ(call.out, four);
}

TEST(ChunkedAttention, CausalFromEitherCornerWithBiasAndMask) {
  for (const Causal causal : {Causal::upper_left, Causal::lower_right}) {
    for (const int64_t kv_len : {70, 130, 300}) {
      Call call({.kv_len = kv_len});
      call.options.causal = causal;
      EXPECT_TRUE(call.is_right()) << kv_len;
      call.bias = Bias({1, 4, 130, kv_len}, normal(4 * 130 * kv_len, 9));
      call.mask = random_mask({2, 1, 130, kv_len}, 10, 4);
      EXPECT_TRUE(call.is_right()) << kv_len;
    }
  }
}

// No key at all: 0 and -inf. What is behind the mask may be anything.
TEST(ChunkedAttention, RowsWithoutKeysAndNanBehindTheMask) {
  Call call({.kv_len = 300});
  std::vector<uint8_t> bytes(130 * 300, 1);
  std::fill_n(bytes.begin() + 3 * 300, 300, 0);
  for (std::size_t q = 0; q < 130; ++q) bytes[q * 300 + 11] = 0;
  call.mask = Mask({1, 1, 130, 300}, bytes);
  std::vector<float> bias = normal(130 * 300, 11);
  for (std::size_t q = 0; q < 130; ++q) bias[q * 300 + 11] = kNan;
  call.bias = Bias({1, 1, 130, 300}, bias);
  const Shape& s = call.shape;
  for (int64_t head = 0; head < s.batch * s.key_heads; ++head) {
    call.key[static_cast<std::size_t>((head * 300 + 11) * s.dim)] = kInf;
    call.value[static_cast<std::size_t>((head * 300 + 11) * s.value_dim)] = kNan;
  }
  EXPECT_TRUE(call.is_right());
  EXPECT_EQ(call.lse[3], -kInf);
}

TEST(ChunkedAttention, ABiasOfMinusInfinityForbids) {
  Call call({.kv_len = 300});
  std::vector<float> bias(130 * 300, 0.5F);
  std::fill_n(bias.begin(), 300, -kInf);
  for (std::size_t q = 1; q < 130; ++q) bias[q * 300 + q] = -kInf;
  call.bias = Bias({1, 1, 130, 300}, bias);
  EXPECT_TRUE(call.is_right());
}

TEST(ChunkedAttention, BiasOfAnyFloatAndStrides) {
  Call call({.q_len = 40, .kv_len = 50});
  std::vector<double> wide;
  std::vector<float> rounded;
  for (const float x : normal(40 * 50, 12)) {
    wide.push_back(static_cast<double>(x));
    rounded.push_back(x);
  }
  call.bias = Bias({1, 1, 40, 50}, rounded);
  call.run();
  const std::vector<float> want = call.out;
  std::vector<double> turned(wide.size());
  for (std::size_t i = 0; i < 40 * 50; ++i) turned[i % 50 * 40 + i / 50] = wide[i];
  call.bias.reset();
  // Turned, and spread over the batch by a stride of 0.
  call.options.bias = view(turned.data(), {2, 1, 40, 50}, {0, 0, 1, 40});
  call.run();
  EXPECT_EQ(call.out, want);
}

// What flex_attention makes of the same weight_mod.
TEST(ChunkedAttention, DropoutIsTheOneOfFlexAttention) {
  Call call({.kv_len = 300});
  const int64_t seed = 42, offset = 7;
  call.options.dropout = 0.25;
  call.options.seed = view(&seed, {1});
  call.options.offset = view(&offset, {1});
  const Shape& s = call.shape;
  call.bias = Bias({1, 1, 130, 300}, normal(130 * 300, 15));
  call.run();
  const std::vector<float> got = call.out;
  const Capture bias = capture(view_of(*call.bias));
  FlexOptions options;
  options.score_mod =
      score_mod([=](auto x, auto, auto, auto q, auto kv) { return x + bias(0, 0, q, kv); });
  options.weight_mod = dropout(0.25, view(&seed, {1}), view(&offset, {1}));
  flex_attention(call.tensor(call.query, s.heads, s.q_len, s.dim),
                 call.tensor(call.key, s.key_heads, s.kv_len, s.dim),
                 call.tensor(call.value, s.key_heads, s.kv_len, s.value_dim),
                 call.tensor(call.out, s.heads, s.q_len, s.value_dim), options);
  EXPECT_EQ(call.out, got);
  call.options.dropout = 0;
  EXPECT_TRUE(call.is_right());
  EXPECT_NE(call.out, got);
}

// All weights are dropped or none; lse knows nothing of it.
TEST(ChunkedAttention, DropoutOfAllWeights) {
  Call call({});
  const int64_t number = 1;
  call.options.dropout = 1;
  call.options.seed = call.options.offset = view(&number, {1});
  call.run();
  EXPECT_EQ(call.out, std::vector<float>(call.out.size(), 0.0F));
  const std::vector<float> lse = call.lse;
  call.options.dropout = 0;
  call.run();
  EXPECT_EQ(call.lse, lse);
}

TEST(ChunkedAttention, SixteenBitTensors) {
  Call call({.q_len = 40, .kv_len = 300});
  const auto halves = [](std::vector<float>& data) {
    std::vector<Float16> result;
    for (float& x : data) {
      result.emplace_back(x);
      x = static_cast<float>(result.back());
    }
    return result;
  };
  const auto q = halves(call.query), k = halves(call.key), v = halves(call.value);
  call.mask = random_mask({1, 1, 40, 300}, 16, 3);
  call.run();
  const std::vector<float> want = call.out;
  const Shape& s = call.shape;
  chunked_attention(view(q.data(), {s.batch, s.heads, s.q_len, s.dim}),
                    view(k.data(), {s.batch, s.key_heads, s.kv_len, s.dim}),
                    view(v.data(), {s.batch, s.key_heads, s.kv_len, s.value_dim}),
                    call.tensor(call.out, s.heads, s.q_len, s.value_dim), call.options);
  for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(call.out[i], want[i], 1e-5) << i;
}

TEST(ChunkedAttention, SameBitsForAnyChunksAndThreads) {
  Call call({.q_len = 300, .kv_len = 500});
  call.mask = random_mask({1, 4, 300, 500}, 13, 3);
  call.options.causal = Causal::lower_right;
  call.run();
  const std::vector<float> want = call.out;
  for (const int threads : {1, 2, 3, 7}) {
    const auto pool = make_thread_pool(threads);
    call.options.executor = pool.get();
    call.options.query_chunk = 13 * threads;
    call.options.key_chunk = threads == 7 ? 1 << 30 : threads;
    call.run();
    EXPECT_EQ(call.out, want) << threads;
  }
}

TEST(ChunkedAttention, AWorkspaceOfTheStatedSizeIsEnough) {
  Call call({.q_len = 300, .kv_len = 500});
  call.mask = random_mask({2, 4, 300, 500}, 14, 3);
  call.run();
  const std::vector<float> want = call.out;
  const Shape& s = call.shape;
  const std::size_t bytes =
      chunked_workspace_bytes(call.tensor(call.query, s.heads, s.q_len, s.dim),
                              call.tensor(call.key, s.key_heads, s.kv_len, s.dim),
                              call.tensor(call.value, s.key_heads, s.kv_len, s.value_dim),
                              call.tensor(call.out, s.heads, s.q_len, s.value_dim), call.options);
  std::vector<std::byte> memory(bytes + 64);
  void* data = memory.data();
  std::size_t space = memory.size();
  ASSERT_NE(std::align(64, bytes, data, space), nullptr);
  call.options.workspace = {data, bytes};
  call.run();
  EXPECT_EQ(call.out, want);
}

}  // namespace
}  // namespace fovea
