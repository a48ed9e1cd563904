// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/random.h>
#include "attention/reference.h"

/// Small attention problems in float64 whose gradients are compared with finite differences.
namespace fovea::attention::testing {

struct Sizes {
  int64_t batch = 1, q_heads = 1, kv_heads = 1, q_len = 3, kv_len = 4, head_dim = 2, value_dim = 3;
  int64_t kv_batch = 0;  // 0: batch
};

class BackwardCase {
 public:
  explicit BackwardCase(const Sizes& sizes = {}) : s(sizes) {
    const int64_t kv_batch = s.kv_batch == 0 ? s.batch : s.kv_batch;
    query = normal({s.batch, s.q_heads, s.q_len, s.head_dim});
    key = normal({kv_batch, s.kv_heads, s.kv_len, s.head_dim});
    value = normal({kv_batch, s.kv_heads, s.kv_len, s.value_dim});
    dout = normal({s.batch, s.q_heads, s.q_len, s.value_dim});
    dlse = normal({s.batch, s.q_heads, s.q_len});
    out = normal(dout.sizes);
    lse = normal(dlse.sizes);
  }

  /// A tensor of normal numbers that lives as long as this.
  TensorView normal(const Dims& sizes) {
    TensorView shape;
    shape.sizes = sizes;
    auto& data = memory_.emplace_back(static_cast<std::size_t>(shape.numel()));
    for (double& x : data) x = static_cast<double>(Random(7).normal(next_++));
    return view(data.data(), sizes);
  }
  Problem problem() const {
    FlexOptions all = options;
    all.lse = lse;
    Problem p = validate("test", query, key, value, out, all);
    p.sinks = sinks;
    if (change) change(p);
    return p;
  }

  double loss() const {
    reference(problem(), default_executor());
    double sum = 0;
    for (const auto& [result, gradient] : {std::pair(out, dout), std::pair(lse, dlse)}) {
      for (int64_t i = 0; i < result.numel(); ++i) {
        if (std::isinf(at(result, i))) continue;  // the lse of a row that attends to nothing
        sum += at(result, i) * at(gradient, i);
      }
    }
    return sum;
  }

  /// Compares every gradient with central differences, those of captured f64 tensors too.
  void check() {
    BackwardProblem b;
    b.forward = problem();
    b.dout = dout;
    b.dlse = dlse;
    b.dquery = normal(query.sizes);
    b.dkey = normal(key.sizes);
    b.dvalue = normal(value.sizes);
    b.score_captures = gradients_of(options.score_mod);
    b.weight_captures = gradients_of(options.weight_mod);
    if (sinks) b.dsinks = normal(sinks->sizes);
    reference_backward(b);
    compare("query", query, b.dquery);
    compare("key", key, b.dkey);
    compare("value", value, b.dvalue);
    if (sinks) compare("sinks", *sinks, *b.dsinks);
    compare_captures("score_mod", options.score_mod, b.score_captures);
    compare_captures("weight_mod", options.weight_mod, b.weight_captures);
  }

  static double& at(const TensorView& tensor, int64_t i) {
    return static_cast<double*>(tensor.data)[i];
  }

  Sizes s;
  TensorView query, key, value, dout, dlse, out, lse;
  std::optional<TensorView> sinks;
  FlexOptions options;
  std::function<void(Problem&)> change;  // to what no option says

 private:
  // Of each captured tensor of f64; the others want none.
  std::vector<TensorView> gradients_of(const Program& mod) {
    std::vector<TensorView> gradients;
    for (const TensorView& t : mod.captures()) {
      gradients.push_back(t.dtype == DType::f64 ? normal(t.sizes) : TensorView{});
    }
    return gradients;
  }

  void compare_captures(const std::string& mod, const Program& program,
                        const std::vector<TensorView>& gradients) const {
    for (std::size_t slot = 0; slot < gradients.size(); ++slot) {
      if (!gradients[slot]) continue;
      compare(mod + " t" + std::to_string(slot), program.captures()[slot], gradients[slot]);
    }
  }

  void compare(const std::string& name, const TensorView& input, const TensorView& gradient) const {
    constexpr double kStep = 1e-5;
    for (int64_t i = 0; i < input.numel(); ++i) {
      double& x = at(input, i);
      const double before = x;
      x = before + kStep;
      const double above = loss();
      x = before - kStep;
      const double below = loss();
      x = before;
      const double expected = (above - below) / (2 * kStep), got = at(gradient, i);
      EXPECT_NEAR(got, expected, 1e-8 * (1 + std::abs(expected))) << name << "[" << i << "]";
    }
  }

  std::deque<std::vector<double>> memory_;
  uint64_t next_ = 0;
};

}  // namespace fovea::attention::testing
