// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "attention/element_access.h"
#include "attention/reference.h"
#include "program/derive.h"

namespace fovea::attention {
namespace {

using program::Inputs;
using program::JointProgram;

constexpr double kMasked = -std::numeric_limits<double>::infinity();

/// A gradient while it is summed, laid out as its tensor's elements in row-major order.
class Sum {
 public:
  explicit Sum(const TensorView& view)
      : view_(view), sum_(view ? static_cast<std::size_t>(view.numel()) : 0) {
    dense_ = view;
    dense_.strides = contiguous_strides(view.sizes);
  }
  bool wanted() const { return static_cast<bool>(view_); }
  const TensorView& dense() const { return dense_; }  // for positions only
  void add(int64_t at, double x) { sum_[static_cast<std::size_t>(at)] += x; }
  void store() const {
    if (!wanted()) return;
    for_each_element(view_, [&](int64_t at, int64_t ordinal) {
      store_element(view_, at, sum_[static_cast<std::size_t>(ordinal)]);
    });
  }

 private:
  TensorView view_, dense_;
  std::vector<double> sum_;
};

/// A mod with the gradients of its captured tensors.
class Mod {
 public:
  Mod(const Program& program, const std::vector<TensorView>& gradients) {
    for (const TensorView& view : gradients) sums_.emplace_back(view);
    if (!program) return;
    program::Wanted wanted;
    for (std::size_t slot = 0; slot < sums_.size(); ++slot) {
      if (sums_[slot].wanted()) wanted.captures.push_back(static_cast<int32_t>(slot));
    }
    joint_ = program::derive(program.graph(), wanted);
    state_ = std::make_unique<program::JointState>(joint_, program);
  }

  /// What the mod makes of its input.
  double result(const Inputs& at) { return state_ ? state_->run(at) : at.score; }

  /// From the gradient of the result to that of the input; what captured tensors get is added up.
  double backward(const Inputs& at) {
    if (!state_) return at.dout;
    state_->run(at);
    for (const JointProgram::Contribution& c : joint_.captures) {
      if (state_->holds(c)) contribute(c);
    }
    return state_->value(joint_.dscore).f;
  }
  void store() const {
    for (const Sum& sum : sums_) sum.store();
  }

 private:
  void contribute(const JointProgram::Contribution& c) {
    Sum& sum = sums_[static_cast<std::size_t>(c.slot)];
    int64_t at = 0;
    int dimension = 0;
    for (const program::NodeId index : c.index) {
      at += state_->value(index).i * sum.dense().stride(dimension++);
    }
    sum.add(at, state_->value(c.value).f);
  }

  std::vector<Sum> sums_;
  JointProgram joint_;
  std::unique_ptr<program::JointState> state_;  // none without a program
};

/// With s the scores after score_mod, w = exp(s - lse) the weights before weight_mod m:
///   out = sum m(w) v,   dw = m'(w) (dout . v),   ds = w (dw - sum w dw + dlse).
/// The sink is a score whose dw is 0.
class Backward {
 public:
  explicit Backward(const BackwardProblem& problem)
      : b_(problem),
        p_(problem.forward),
        query_(problem.dquery),
        key_(problem.dkey),
        value_(problem.dvalue),
        sinks_(problem.dsinks.value_or(TensorView{})),
        score_(p_.score_mod, problem.score_captures),
        weight_(p_.weight_mod, problem.weight_captures) {}

  void run() {
    for (int64_t b = 0; b < p_.batch; ++b) {
      for (int64_t h = 0; h < p_.q_heads; ++h) {
        for (int64_t q = 0; q < p_.sequence(b).q_len; ++q) run_row(b, h, q);
      }
    }
    for (const Sum* sum : {&query_, &key_, &value_, &sinks_}) sum->store();
    score_.store();
    weight_.store();
  }

 private:
  void run_row(int64_t b, int64_t h, int64_t q) {
    const ReferenceRow row = reference_scores(p_, b, h, q);
    if (row.shift == kMasked) return;
    const std::size_t count = row.scores.size();
    const int64_t kv_head = h / p_.group();
    const int64_t dout_at = query_row(p_, b_.dout, b, h, q);
    Inputs at{.b = b, .h = h, .q = q};
    std::vector<double> weights(count), dweights(count);
    double mean = 0;  // of dw, weighted by w
    for (std::size_t i = 0; i < count; ++i) {
      if (row.scores[i] == kMasked) continue;
      at.kv = static_cast<int64_t>(i);
      at.score = weights[i] = row.weight(row.scores[i]);
      const int64_t value_at = key_row(p_, p_.value, b, kv_head, at.kv);
      at.dout = 0;
      for (int64_t d = 0; d < p_.value_dim; ++d) at.dout += dout(dout_at, d) * value(value_at, d);
      if (value_.wanted()) add_value(at, kv_head, dout_at);
      dweights[i] = weight_.backward(at);
      mean += weights[i] * dweights[i];
    }
    const double dlse = b_.dlse ? load_element(*b_.dlse, query_row(p_, *b_.dlse, b, h, q)) : 0;
    if (sinks_.wanted() && row.sink != kMasked) {
      sinks_.add(h, row.weight(row.sink) * (dlse - mean));
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (row.scores[i] == kMasked) continue;
      at.kv = static_cast<int64_t>(i);
      at.score = row.dots[i];
      at.dout = weights[i] * (dweights[i] - mean + dlse);
      add_products(at, kv_head, score_.backward(at) * p_.scale);
    }
  }

  double dout(int64_t at, int64_t d) const {
    return load_element(b_.dout, at + d * b_.dout.stride(3));
  }
  double value(int64_t at, int64_t d) const {
    return load_element(p_.value, at + d * p_.value.stride(3));
  }

  void add_value(const Inputs& at, int64_t kv_head, int64_t dout_at) {
    const double weight = weight_.result(at);
    const int64_t to = key_row(p_, value_.dense(), at.b, kv_head, at.kv);
    for (int64_t d = 0; d < p_.value_dim; ++d) value_.add(to + d, weight * dout(dout_at, d));
  }

  void add_products(const Inputs& at, int64_t kv_head, double ddot) {
    const int64_t query_at = query_row(p_, p_.query, at.b, at.h, at.q);
    const int64_t key_at = key_row(p_, p_.key, at.b, kv_head, at.kv);
    if (query_.wanted()) {
      const int64_t to = query_row(p_, query_.dense(), at.b, at.h, at.q);
      for (int64_t d = 0; d < p_.head_dim; ++d) {
        query_.add(to + d, ddot * load_element(p_.key, key_at + d * p_.key.stride(3)));
      }
    }
    if (key_.wanted()) {
      const int64_t to = key_row(p_, key_.dense(), at.b, kv_head, at.kv);
      for (int64_t d = 0; d < p_.head_dim; ++d) {
        key_.add(to + d, ddot * load_element(p_.query, query_at + d * p_.query.stride(3)));
      }
    }
  }

  const BackwardProblem& b_;
  const Problem& p_;
  Sum query_, key_, value_, sinks_;
  Mod score_, weight_;
};

}  // namespace

void reference_backward(const BackwardProblem& problem) { Backward(problem).run(); }

}  // namespace fovea::attention
