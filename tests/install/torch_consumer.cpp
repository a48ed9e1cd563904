// SPDX-License-Identifier: Apache-2.0
// The C++ functions on tensors, from an install tree: values and gradients against plain torch operations.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <fovea/torch.h>
#include <fovea/torch_modules.h>

namespace {

void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what.c_str());
  std::exit(1);
}

void expect_close(const at::Tensor& a, const at::Tensor& b, const std::string& what) {
  expect(a.sizes() == b.sizes() && at::allclose(a, b, 1e-4, 1e-5), what);
}

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

constexpr int64_t kHeads = 4, kLength = 37, kDim = 16;

std::vector<at::Tensor> inputs(int64_t kv_heads = kHeads) {
  std::vector<at::Tensor> all;
  for (const int64_t heads : {kHeads, kv_heads, kv_heads}) {
    all.push_back(torch::randn({2, heads, kLength, kDim}, torch::requires_grad()));
  }
  return all;
}

at::Tensor dense(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                 const at::Tensor& bias) {
  const at::Tensor scores = q.matmul(k.transpose(-2, -1)) / std::sqrt(static_cast<double>(kDim));
  return (scores + bias).softmax(-1).matmul(v);
}

at::Tensor distances() {
  const at::Tensor i = torch::arange(kLength);
  return i.view({1, -1}) - i.view({-1, 1});  // key - query
}

void mods_with_parameters() {
  const auto in = inputs();
  const at::Tensor slopes = torch::randn({kHeads}, torch::requires_grad());
  const auto slope = fovea::torch::capture(slopes);
  fovea::torch::FlexOptions options;
  options.score_mod = fovea::torch::score_mod(
      [=](auto s, auto, auto h, auto q, auto kv) { return s + slope[h] * (kv - q) / 8; });
  options.block_mask = fovea::torch::create_block_mask(
      [](auto, auto, auto q, auto kv) { return q >= kv; }, {.q_len = kLength, .kv_len = kLength});
  const at::Tensor hidden = torch::full({kLength, kLength}, -INFINITY).triu(1);
  for (int round = 0; round < 2; ++round) {
    const at::Tensor bias = slopes.view({kHeads, 1, 1}) * distances() / 8 + hidden;
    const at::Tensor expected = dense(in[0], in[1], in[2], bias);
    const at::Tensor out = fovea::torch::flex_attention(in[0], in[1], in[2], options);
    expect_close(out, expected, "out");
    const at::Tensor dout = torch::randn_like(out);
    const std::vector<at::Tensor> wanted{in[0], in[1], in[2], slopes};
    const auto a = torch::autograd::grad({out}, wanted, {dout});
    const auto b = torch::autograd::grad({expected}, wanted, {dout});
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      expect_close(a[i], b[i], "gradient " + std::to_string(i));
    }
    const torch::NoGradGuard no_grad;
    slopes.mul_(-2);  // a step of an optimizer: seen without tracing again
  }
}

void a_mod_over_plain_memory_is_refused() {
  const std::vector<float> plain(kHeads);
  const auto captured = fovea::capture(fovea::view(plain.data(), {kHeads}));
  const std::string message = message_of([&] {
    fovea::torch::score_mod([=](auto s, auto, auto h, auto, auto) { return s + captured[h]; });
  });
  expect(message.find("fovea::torch::capture") != std::string::npos, "plain memory: " + message);
}

void decode_and_merge() {
  const auto in = inputs(2);
  const at::Tensor query = in[0].slice(2, 0, 3);
  const auto whole = fovea::torch::decode(query, in[1], in[2]);
  const auto all = fovea::torch::flex_attention_with_lse(query, in[1], in[2]);
  std::vector<at::Tensor> outs, lses;
  for (const auto& [begin, end] : {std::pair(0, 20), std::pair(20, 37)}) {
    const auto part = fovea::torch::flex_attention_with_lse(query, in[1].slice(2, begin, end),
                                                            in[2].slice(2, begin, end));
    outs.push_back(part.out);
    lses.push_back(part.lse);
  }
  const auto [out, lse] = fovea::torch::merge_attention(outs, lses);
  expect_close(out, all.out, "merged out");
  expect_close(lse, all.lse, "merged lse");
  expect(whole.lse.select(2, 2).equal(all.lse.select(2, 2)), "the last query sees every key");
  expect((whole.lse.select(2, 0) < all.lse.select(2, 0)).all().item<bool>(),
         "the first of three does not");
  const at::Tensor weights = torch::randn_like(out);
  const auto loss = [&](const at::Tensor& o, const at::Tensor& l) {
    return (o * weights).sum() + (l * l).sum();
  };
  const auto a = torch::autograd::grad({loss(out, lse)}, {in[0], in[1], in[2]});
  const auto b = torch::autograd::grad({loss(all.out, all.lse)}, {in[0], in[1], in[2]});
  for (std::size_t i = 0; i < 3; ++i) {
    expect_close(a[i], b[i], "merged gradient " + std::to_string(i));
  }
}

void sdpa() {
  const auto in = inputs();
  const at::Tensor boolean = torch::rand({kLength, kLength}) < 0.7;
  const at::Tensor added = torch::randn({2, 1, kLength, kLength});
  for (const at::Tensor& mask : {boolean, added}) {
    fovea::torch::SdpaOptions options;
    options.attn_mask = mask;
    expect_close(fovea::torch::scaled_dot_product_attention(in[0], in[1], in[2], options),
                 at::scaled_dot_product_attention(in[0], in[1], in[2], mask), "attn_mask");
  }
  fovea::torch::SdpaOptions both;
  both.attn_mask = boolean;
  both.is_causal = true;
  const std::string message =
      message_of([&] { fovea::torch::scaled_dot_product_attention(in[0], in[1], in[2], both); });
  expect(message.find("expected one of the two, got both") != std::string::npos, message);
  fovea::torch::SdpaOptions dropped;
  dropped.dropout_p = 0.5;
  torch::manual_seed(3);
  const at::Tensor one = fovea::torch::scaled_dot_product_attention(in[0], in[1], in[2], dropped);
  torch::manual_seed(3);
  const at::Tensor same = fovea::torch::scaled_dot_product_attention(in[0], in[1], in[2], dropped);
  const at::Tensor other = fovea::torch::scaled_dot_product_attention(in[0], in[1], in[2], dropped);
  expect(one.equal(same), "the same seed drops the same weights");
  expect(!one.equal(other), "the next call drops others");
}

void module() {
  fovea::torch::CausalSelfAttention attention(fovea::torch::CausalSelfAttentionOptions{
      .num_heads = 2, .embed_dimension = 16, .is_causal = true});
  attention->eval();
  const at::Tensor x = torch::randn({2, 9, 16});
  const at::Tensor out = attention(x);
  at::Tensor changed = x.clone();
  changed.select(1, 8).fill_(7);
  expect_close(attention(changed).slice(1, 0, 8), out.slice(1, 0, 8), "causal");
  expect(attention->named_parameters().contains("c_attn.weight"), "names of the state_dict");
  const std::string message = message_of([] {
    fovea::torch::CausalSelfAttention(
        fovea::torch::CausalSelfAttentionOptions{.num_heads = 3, .embed_dimension = 16});
  });
  expect(message.find("expected a multiple of num_heads = 3, got 16") != std::string::npos,
         message);
}

}  // namespace

int main() {
  torch::manual_seed(0);
  mods_with_parameters();
  a_mod_over_plain_memory_is_refused();
  decode_and_merge();
  sdpa();
  module();
  std::puts("fovea::torch works");
}
