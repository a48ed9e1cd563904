// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/float64_gradients.h"

#include "attention/element_access.h"

namespace fovea::cpu {

using program::JointProgram;

Float64Gradient::Float64Gradient(const TensorView& view) : view_(view), sums_(view) {
  if (!view || view.dtype == DType::f64) return;
  own_.resize(static_cast<std::size_t>(view.numel()));
  sums_ = fovea::view(own_.data(), view.sizes);
}

void Float64Gradient::clear() {
  if (sums_.data == view_.data) attention::store_zeros(view_);
}

void Float64Gradient::store() const {
  if (sums_.data == view_.data) return;
  attention::for_each_element(view_, [this](int64_t at, int64_t ordinal) {
    attention::store_element(view_, at, own_[static_cast<std::size_t>(ordinal)]);
  });
}

Float64Joint::Float64Joint(const JointProgram* joint, const Program& mod, int64_t runs,
                           int64_t elements, std::vector<Float64Gradient>& gradients)
    : joint_(joint), gradients_(&gradients) {
  if (joint == nullptr) return;
  rows_.emplace(*joint, mod);
  std::size_t most = 0;
  for (const auto& c : joint->captures) {
    most += static_cast<std::size_t>(rows_->has_one_index(c) ? runs : elements);
  }
  additions_.reserve(most);
}

void Float64Joint::run(const program::Inputs& first, std::span<const double> score,
                       std::span<double> dout, const uint8_t* active, double* result) {
  rows_->run(first.b, first.h, first.q, first.kv, score, dout, active);
  for (const auto& c : joint_->captures) {
    contribute(c, static_cast<int64_t>(score.size()), active);
  }
  for (std::size_t i = 0; i < dout.size(); ++i) {
    dout[i] = active[i] != 0 ? rows_->dscore()[i] : 0;
    if (result != nullptr) result[i] = active[i] != 0 ? rows_->result()[i] : 0;
  }
}

void Float64Joint::contribute(const JointProgram::Contribution& c, int64_t count,
                              const uint8_t* active) {
  Float64Gradient& gradient = (*gradients_)[static_cast<std::size_t>(c.slot)];
  const TensorView& sums = gradient.sums();
  const auto values = rows_->value(c);
  const bool one_index = rows_->has_one_index(c);
  Addition sum{.to = nullptr, .at = 0, .value = 0};
  for (int64_t i = 0; i < count; ++i) {
    if (active[i] == 0 || !rows_->holds(c, i)) continue;
    const double value = values[static_cast<std::size_t>(i)];
    if (one_index && sum.to != nullptr) {
      sum.value += value;
      continue;
    }
    int64_t at = 0;
    bool inside = true;
    for (std::size_t d = 0; d < c.index.size(); ++d) {
      const int64_t index = rows_->index(c, d, i);
      inside = inside && index >= 0 && index < sums.size(static_cast<int>(d));
      at += inside ? index * sums.stride(static_cast<int>(d)) : 0;
    }
    if (!inside) continue;
    sum = {&gradient, at, value};
    if (!one_index) additions_.push_back(sum);
  }
  if (one_index && sum.to != nullptr) additions_.push_back(sum);
}

void Float64Joint::add() {
  for (const Addition& addition : additions_) addition.to->add(addition.at, addition.value);
}

}  // namespace fovea::cpu
