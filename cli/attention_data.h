// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <fovea/tensor.h>
#include "plain_dense.h"

/// The float32 tensors of one attention call with batch 1, and views of them.
namespace fovea::cli {

class AttentionData {
 public:
  /// All zero.
  AttentionData(int64_t heads, int64_t q_len, int64_t kv_len, int64_t head_dim);
  /// Bytes embedded by fixed random tables, one for each of query, key and value and each head,
  /// plus small ones by position, so that no two rows are equal. A byte's key is somewhat like its
  /// query: equal bytes attract each other. Scores have a standard deviation of about 1.
  static AttentionData embed(std::span<const uint8_t> tokens, int64_t heads, int64_t head_dim);
  /// Normally distributed.
  static AttentionData random(int64_t heads, int64_t length, int64_t head_dim);

  TensorView query() const { return view(query_.data(), q_sizes_); }
  TensorView key() const { return view(key_.data(), kv_sizes_); }
  TensorView value() const { return view(value_.data(), kv_sizes_); }
  TensorView out() { return view(out_.data(), q_sizes_); }
  std::span<const float> result() const { return out_; }
  void fill_result(float value);
  float largest_value() const;  ///< the largest magnitude in `value`
  PlainProblem plain() const;

 private:
  Dims q_sizes_, kv_sizes_;
  std::vector<float> query_, key_, value_, out_;
};

}  // namespace fovea::cli
