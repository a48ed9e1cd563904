// SPDX-License-Identifier: Apache-2.0
#include "analysis/linear_form.h"

namespace fovea::analysis {
namespace {

constexpr int64_t kMaxFactor = int64_t{1} << 60;

// a + b * factor, or false beyond +-2^60.
bool add_scaled(int64_t a, int64_t b, int64_t factor, int64_t& result) {
  int64_t product = 0;
  if (__builtin_mul_overflow(b, factor, &product)) return false;
  if (__builtin_add_overflow(a, product, &result)) return false;
  return result < kMaxFactor && result > -kMaxFactor;
}

}  // namespace

PlaneForm add(const PlaneForm& a, const PlaneForm& b) {
  if (!a.known || !b.known) return {};
  if (!a.reads_plane()) return b;
  if (!b.reads_plane()) return a;
  if (a.unit != b.unit) return {};
  PlaneForm sum{.known = true, .unit = a.unit};
  if (!add_scaled(a.q, b.q, 1, sum.q) || !add_scaled(a.kv, b.kv, 1, sum.kv)) return {};
  if (!sum.reads_plane()) sum.unit = -1;
  return sum;
}

PlaneForm negate(PlaneForm a) { return scale(a, -1); }

PlaneForm scale(PlaneForm a, int64_t factor) {
  if (!a.known) return {};
  PlaneForm product{.known = true, .unit = factor == 0 ? -1 : a.unit};
  if (!add_scaled(0, a.q, factor, product.q) || !add_scaled(0, a.kv, factor, product.kv)) return {};
  return product;
}

PlaneForm scale_by_unit(PlaneForm a, program::NodeId unit) {
  if (!a.known || !a.reads_plane()) return a;
  if (a.unit != -1) return {};
  a.unit = unit;
  return a;
}

LinearForm LinearForm::constant(int64_t value) {
  LinearForm form;
  form.offset_ = value;
  return form;
}

LinearForm LinearForm::atom(program::NodeId node) {
  LinearForm form;
  form.terms_[0] = {node, 1};
  form.count_ = 1;
  return form;
}

bool LinearForm::add(const LinearForm& other, int64_t factor) {
  LinearForm sum;
  if (!add_scaled(offset_, other.offset_, factor, sum.offset_)) return false;
  const auto a = terms();
  const auto b = other.terms();
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() || j < b.size()) {
    Term term;
    if (j == b.size() || (i < a.size() && a[i].node < b[j].node)) {
      term = a[i++];
    } else {
      const bool both = i < a.size() && a[i].node == b[j].node;
      term.node = b[j].node;
      if (!add_scaled(both ? a[i].factor : 0, b[j].factor, factor, term.factor)) return false;
      i += both ? 1 : 0;
      ++j;
    }
    if (term.factor == 0) continue;
    if (sum.count_ == kMaxTerms) return false;
    sum.terms_[static_cast<std::size_t>(sum.count_++)] = term;
  }
  *this = sum;
  return true;
}

bool LinearForm::shares_term(const LinearForm& other) const noexcept {
  for (const Term& a : terms()) {
    for (const Term& b : other.terms()) {
      if (a.node == b.node) return true;
    }
  }
  return false;
}

}  // namespace fovea::analysis
