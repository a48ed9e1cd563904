// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>

/// chunked_attention_backward against the float64 reference of programs that are written out here.
namespace fovea {
namespace {

constexpr int64_t kBatch = 2, kHeads = 4, kKeyHeads = 2, kQ = 37, kKv = 150, kDim = 9,
                  kValueDim = 6;

std::vector<float> normal(const Dims& sizes, uint64_t seed) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  std::vector<float> data(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = Random(seed).normal(i);
  return data;
}

struct Tensor {
  Tensor(const Dims& dims, uint64_t seed) : sizes(dims), data(normal(dims, seed)) {}
  explicit Tensor(const Dims& dims) : Tensor(dims, 1) {
    data.assign(data.size(), std::numeric_limits<float>::quiet_NaN());
  }
  TensorView in(Layout layout) const {
    TensorView result = view(data.data(), sizes);
    if (layout == Layout::bhne) return result;
    std::swap(result.sizes[1], result.sizes[2]);
    std::swap(result.strides[1], result.strides[2]);
    return result;
  }
  TensorView whole() const { return in(Layout::bhne); }

  Dims sizes;
  std::vector<float> data;
};

struct Gradients {
  Tensor query{{kBatch, kHeads, kQ, kDim}}, key{{kBatch, kKeyHeads, kKv, kDim}},
      value{{kBatch, kKeyHeads, kKv, kValueDim}};
  Tensor bias;
  explicit Gradients(const Dims& bias_sizes) : bias(bias_sizes) {}
};

struct Case {
  explicit Case(const Dims& bias_sizes) : bias(bias_sizes, 7) {
    bytes.resize(kQ * kKv);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = Random(8).below(i, 3) != 0;
    std::fill_n(bytes.begin() + 5 * kKv, kKv, 0);  // a row without keys
    options.bias = bias.whole();
    options.mask = mask();
    options.causal = Causal::lower_right;
    options.scale = 0.7;
  }
  TensorView mask() const {
    TensorView tensor = view(bytes.data(), {1, 1, kQ, kKv});
    tensor.dtype = DType::boolean;
    return tensor;
  }

  void forward() {
    ChunkedOptions with_lse = options;
    with_lse.lse = lse.whole();
    const Layout layout = options.layout;
    chunked_attention(query.in(layout), key.in(layout), value.in(layout), out.in(layout), with_lse);
  }
  BackwardInputs saved(Layout layout) const {
    return {out.in(layout), lse.whole(), dout.in(layout), dlse.whole()};
  }
  Gradients backward() {
    forward();
    Gradients g(bias.sizes);
    const Layout layout = options.layout;
    chunked_attention_backward(query.in(layout), key.in(layout), value.in(layout), saved(layout),
                               {g.query.in(layout), g.key.in(layout), g.value.in(layout),
                                options.bias ? g.bias.whole() : TensorView()},
                               options);
    return g;
  }

  // The same by programs.
  Gradients reference() const {
    FlexOptions flex;
    flex.scale = options.scale;
    const Capture added = capture(bias.whole()), allowed = capture(mask());
    const auto at = [&](int axis, const Value& i) { return bias.sizes[axis] == 1 ? Value(0) : i; };
    flex.score_mod = score_mod([&](auto s, auto b, auto h, auto q, auto kv) {
      return s + added(at(0, b), at(1, h), at(2, q), at(3, kv));
    });
    flex.block_mask = create_block_mask(
        [&](auto, auto, auto q, auto kv) { return allowed(0, 0, q, kv) && kv <= q + (kKv - kQ); },
        {.q_len = kQ, .kv_len = kKv});
    if (options.dropout != 0) {
      flex.weight_mod = dropout(options.dropout, *options.seed, *options.offset);
    }
    Gradients g(bias.sizes);
    FlexGradients wanted;
    wanted.query = g.query.whole();
    wanted.key = g.key.whole();
    wanted.value = g.value.whole();
    wanted.score_captures = {g.bias.whole()};
    reference_backward(query.whole(), key.whole(), value.whole(), saved(Layout::bhne), wanted,
                       flex);
    return g;
  }

  Tensor query{{kBatch, kHeads, kQ, kDim}, 2}, key{{kBatch, kKeyHeads, kKv, kDim}, 3},
      value{{kBatch, kKeyHeads, kKv, kValueDim}, 4}, dout{{kBatch, kHeads, kQ, kValueDim}, 5};
  Tensor dlse{{kBatch, kHeads, kQ}, 6};
  Tensor out{{kBatch, kHeads, kQ, kValueDim}}, lse{{kBatch, kHeads, kQ}};
  Tensor bias;
  std::vector<uint8_t> bytes;
  ChunkedOptions options;
};

void expect_near(const Tensor& got, const Tensor& want, const std::string& name) {
  for (std::size_t i = 0; i < want.data.size(); ++i) {
    ASSERT_NEAR(got.data[i], want.data[i], 2e-5 * (1 + std::abs(want.data[i]))) << name << " " << i;
  }
}
void expect_near(const Gradients& got, const Gradients& want, const std::string& where) {
  expect_near(got.query, want.query, "query " + where);
  expect_near(got.key, want.key, "key " + where);
  expect_near(got.value, want.value, "value " + where);
  expect_near(got.bias, want.bias, "bias " + where);
}

// The gradient of a bias of size 1 along an axis is the sum along it.
TEST(ChunkedBackward, EqualsTheReferenceForEveryShapeOfBias) {
  for (int spread = 0; spread < 16; ++spread) {
    const auto size = [&](int axis, int64_t n) { return (spread >> axis & 1) != 0 ? 1 : n; };
    Case c({size(0, kBatch), size(1, kHeads), size(2, kQ), size(3, kKv)});
    const Gradients got = c.backward();
    expect_near(got, c.reference(), to_string(c.bias.sizes));
    for (int64_t d = 0; d < kDim; ++d) {
      EXPECT_EQ(got.query.data[static_cast<std::size_t>(5 * kDim + d)], 0.0F) << "no keys";
    }
  }
}

TEST(ChunkedBackward, LayoutsAndThreadsGiveTheSameBits) {
  Case c({1, kHeads, kQ, kKv});
  const Gradients want = c.backward();
  for (const int threads : {1, 3}) {
    const auto pool = make_thread_pool(threads);
    c.options.executor = pool.get();
    c.options.layout = Layout::bnhe;
    const Gradients got = c.backward();
    EXPECT_EQ(got.query.data, want.query.data);
    EXPECT_EQ(got.key.data, want.key.data);
    EXPECT_EQ(got.value.data, want.value.data);
    EXPECT_EQ(got.bias.data, want.bias.data);
  }
}

TEST(ChunkedBackward, Dropout) {
  Case c({1, kHeads, kQ, kKv});
  const int64_t seed = 5, offset = 6;
  c.options.dropout = 0.3;
  c.options.seed = view(&seed, {1});
  c.options.offset = view(&offset, {1});
  expect_near(c.backward(), c.reference(), "dropout");
}

TEST(ChunkedBackward, AWorkspaceOfTheStatedSizeIsEnough) {
  Case c({1, 1, kQ, 1});
  const Gradients want = c.backward();
  Gradients got(c.bias.sizes);
  const ChunkedGradients wanted{got.query.whole(), got.key.whole(), got.value.whole(),
                                got.bias.whole()};
  const std::size_t bytes = chunked_backward_workspace_bytes(
      c.query.whole(), c.key.whole(), c.value.whole(), c.saved(Layout::bhne), wanted, c.options);
  std::vector<std::byte> memory(bytes + 64);
  void* data = memory.data();
  std::size_t space = memory.size();
  ASSERT_NE(std::align(64, bytes, data, space), nullptr);
  c.options.workspace = {data, bytes};
  chunked_attention_backward(c.query.whole(), c.key.whole(), c.value.whole(), c.saved(Layout::bhne),
                             wanted, c.options);
  EXPECT_EQ(got.query.data, want.query.data);
  EXPECT_EQ(got.bias.data, want.bias.data);
}

}  // namespace
}  // namespace fovea
