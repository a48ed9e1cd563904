// SPDX-License-Identifier: Apache-2.0
#include "attention_data.h"

#include <algorithm>
#include <cmath>

#include <fovea/random.h>

namespace fovea::cli {
namespace {

constexpr int64_t kBytes = 256;
constexpr float kLikeness = 0.3F;  // of a byte's key and query
constexpr float kPosition = 0.2F;  // weight of the tables by position

std::vector<float> normal_numbers(uint64_t seed, int64_t count) {
  const Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
  return values;
}

// Gathers the rows of a (heads, 256, head_dim) table into (heads, length, head_dim).
void look_up(std::span<const uint8_t> tokens, const std::vector<float>& table, uint64_t seed,
             int64_t heads, int64_t head_dim, std::vector<float>& result) {
  const Random random(seed);
  std::size_t at = 0;
  for (int64_t h = 0; h < heads; ++h) {
    for (const uint8_t token : tokens) {
      const float* row = table.data() + (h * kBytes + token) * head_dim;
      for (int64_t d = 0; d < head_dim; ++d, ++at) {
        result[at] = row[d] + kPosition * random.normal(at);
      }
    }
  }
}

}  // namespace

AttentionData::AttentionData(int64_t heads, int64_t q_len, int64_t kv_len, int64_t head_dim)
    : q_sizes_{1, heads, q_len, head_dim}, kv_sizes_{1, heads, kv_len, head_dim} {
  const auto q_count = static_cast<std::size_t>(heads * q_len * head_dim);
  const auto kv_count = static_cast<std::size_t>(heads * kv_len * head_dim);
  query_.resize(q_count);
  key_.resize(kv_count);
  value_.resize(kv_count);
  out_.resize(q_count);
}

AttentionData AttentionData::embed(std::span<const uint8_t> tokens, int64_t heads,
                                   int64_t head_dim) {
  const auto length = static_cast<int64_t>(tokens.size());
  AttentionData data(heads, length, length, head_dim);
  const int64_t count = heads * kBytes * head_dim;
  const auto queries = normal_numbers(1, count);
  auto keys = normal_numbers(2, count);
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] += kLikeness * queries[i];
  look_up(tokens, queries, 11, heads, head_dim, data.query_);
  look_up(tokens, keys, 12, heads, head_dim, data.key_);
  look_up(tokens, normal_numbers(3, count), 13, heads, head_dim, data.value_);
  return data;
}

AttentionData AttentionData::random(int64_t heads, int64_t length, int64_t head_dim) {
  AttentionData data(heads, length, length, head_dim);
  const int64_t count = heads * length * head_dim;
  data.query_ = normal_numbers(21, count);
  data.key_ = normal_numbers(22, count);
  data.value_ = normal_numbers(23, count);
  return data;
}

void AttentionData::fill_result(float value) { std::fill(out_.begin(), out_.end(), value); }

float AttentionData::largest_value() const {
  float largest = 0;
  for (const float value : value_) largest = std::max(largest, std::abs(value));
  return largest;
}

PlainProblem AttentionData::plain() const {
  return {query_.data(), key_.data(), value_.data(), q_sizes_[1], q_sizes_[2], q_sizes_[3]};
}

}  // namespace fovea::cli
