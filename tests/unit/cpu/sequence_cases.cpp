// SPDX-License-Identifier: Apache-2.0
#include "unit/cpu/sequence_cases.h"

#include <algorithm>
#include <numeric>

namespace fovea::cpu::testing {
namespace {

template <class T>
std::vector<T> ends_of(const std::vector<int64_t>& lengths) {
  std::vector<T> ends{0};
  for (const int64_t length : lengths) ends.push_back(static_cast<T>(ends.back() + length));
  return ends;
}

Shape total(const Lengths& lengths, Shape dims) {
  dims.batch = 1;
  dims.q_len = std::accumulate(lengths.q.begin(), lengths.q.end(), int64_t{0});
  dims.kv_len = std::accumulate(lengths.kv.begin(), lengths.kv.end(), int64_t{0});
  return dims;
}

TensorView rows(const TensorView& tensor, int64_t first, int64_t length) {
  TensorView view = tensor;
  view.data = static_cast<float*>(tensor.data) + first * tensor.stride(2);
  view.sizes[2] = length;
  return view;
}

std::vector<float> rows(const std::vector<float>& from, int64_t heads, int64_t first,
                        int64_t length, int64_t width) {
  std::vector<float> result;
  const int64_t all = static_cast<int64_t>(from.size()) / heads;
  for (int64_t h = 0; h < heads; ++h) {
    const auto begin = from.begin() + h * all + first * width;
    result.insert(result.end(), begin, begin + length * width);
  }
  return result;
}

}  // namespace

Jagged::Jagged(const Lengths& lengths, const Shape& dims, uint64_t seed)
    : inputs(total(lengths, dims), seed),
      q_ends(ends_of<int32_t>(lengths.q)),
      kv_ends(ends_of<int64_t>(lengths.kv)),
      lengths_(lengths) {
  inputs.options.cu_seqlens_q = view(q_ends.data(), {size() + 1});
  inputs.options.cu_seqlens_kv = view(kv_ends.data(), {size() + 1});
}

void Jagged::use(const Variant& variant, BlockSize blocks) {
  variant_ = variant;
  blocks_ = blocks;
  inputs.options.score_mod = variant.score_mod != nullptr ? variant.score_mod(0) : Program();
  inputs.options.block_mask = {};
  if (variant.mask_mod == nullptr) return;
  inputs.options.block_mask =
      create_block_mask(variant.mask_mod(0), {.q_len = *std::ranges::max_element(lengths_.q),
                                              .kv_len = *std::ranges::max_element(lengths_.kv),
                                              .batch = size(),
                                              .heads = inputs.shape.q_heads,
                                              .block_size = blocks});
}

Inputs Jagged::alone(int64_t b) const {
  const auto i = static_cast<std::size_t>(b);
  Shape shape = inputs.shape;
  shape.q_len = lengths_.q[i];
  shape.kv_len = lengths_.kv[i];
  Inputs one(shape);
  one.query = rows(inputs.query, q_ends[i], shape.q_len);
  one.key = rows(inputs.key, kv_ends[i], shape.kv_len);
  one.value = rows(inputs.value, kv_ends[i], shape.kv_len);
  if (variant_.score_mod != nullptr) one.options.score_mod = variant_.score_mod(b);
  if (variant_.mask_mod != nullptr) {
    one.options.block_mask = create_block_mask(variant_.mask_mod(b), {.q_len = shape.q_len,
                                                                      .kv_len = shape.kv_len,
                                                                      .heads = shape.q_heads,
                                                                      .block_size = blocks_});
  }
  return one;
}

Result Jagged::rows_of(const Result& all, int64_t b) const {
  const auto i = static_cast<std::size_t>(b);
  const int64_t heads = inputs.shape.q_heads, first = q_ends[i], length = lengths_.q[i];
  return {rows(all.out, heads, first, length, inputs.value_dim()),
          rows(all.lse, heads, first, length, 1)};
}

}  // namespace fovea::cpu::testing
