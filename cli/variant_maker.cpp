// SPDX-License-Identifier: Apache-2.0
#include "variant_maker.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "usage_error.h"

namespace fovea::cli {

VariantMaker::VariantMaker(std::string name, const VariantShape& shape) : shape_(shape) {
  variant_.name = std::move(name);
}

int64_t VariantMaker::length() const noexcept { return std::max(shape_.q_len, shape_.kv_len); }

void VariantMaker::describe(std::string description, std::string formula) {
  variant_.description = std::move(description);
  variant_.formula = std::move(formula);
}

double VariantMaker::number(const std::string& name, double default_value) {
  const auto given = shape_.parameters.find(name);
  const double value = given == shape_.parameters.end() ? default_value : given->second;
  variant_.parameters.push_back({name, value});
  return value;
}

int64_t VariantMaker::whole(const std::string& name, int64_t default_value) {
  const double value = number(name, static_cast<double>(std::max<int64_t>(1, default_value)));
  if (!(value >= 1 && value <= 1e15) || value != std::floor(value)) {
    throw UsageError(fmt::format("parameter {} of {}: expected a whole number from 1 on, got {}",
                                 name, variant_.name, value));
  }
  return static_cast<int64_t>(value);
}

const std::vector<float>& VariantMaker::keep(std::vector<float> values) {
  return tables_->floats.emplace_back(std::move(values));
}

const std::vector<int32_t>& VariantMaker::keep(std::vector<int32_t> values) {
  return tables_->ints.emplace_back(std::move(values));
}

Variant VariantMaker::finish() {
  for (const auto& [name, value] : shape_.parameters) {
    const auto same = [&, &wanted = name](const Parameter& p) { return p.name == wanted; };
    if (std::any_of(variant_.parameters.begin(), variant_.parameters.end(), same)) continue;
    std::string known;
    for (const Parameter& p : variant_.parameters) known += (known.empty() ? "" : ", ") + p.name;
    throw UsageError(fmt::format("variant {} has no parameter {}: expected {}", variant_.name, name,
                                 known.empty() ? "none" : known));
  }
  variant_.tables = tables_;
  return std::move(variant_);
}

}  // namespace fovea::cli
