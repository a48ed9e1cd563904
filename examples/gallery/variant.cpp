// SPDX-License-Identifier: Apache-2.0
#include "variant.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fovea/error.h>
#include <fovea/random.h>

namespace fovea::gallery {

#define FOVEA_VARIANT(name) void name(VariantMaker& make);
#include "variants.def"
#undef FOVEA_VARIANT

namespace {

struct Entry {
  const char* name;
  void (*build)(VariantMaker&);
};

constexpr Entry kEntries[] = {
#define FOVEA_VARIANT(name) {#name, name},
#include "variants.def"
#undef FOVEA_VARIANT
};

[[noreturn]] void fail(const std::string& rule, const std::string& expected,
                       const std::string& got) {
  throw InvalidArgument("[gallery] " + rule + ": expected " + expected + ", got " + got);
}

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list.empty() ? "none" : list;
}

// Without the zeros that std::to_string appends.
std::string text_of(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace

VariantMaker::VariantMaker(std::string name, const Shape& shape) : shape_(shape) {
  variant_.name = std::move(name);
}

int64_t VariantMaker::length() const noexcept {
  return std::max<int64_t>({shape_.q_len, shape_.kv_len, 1});
}

void VariantMaker::describe(std::string description, std::string formula, std::string source) {
  variant_.description = std::move(description);
  variant_.formula = std::move(formula);
  variant_.source = std::move(source);
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
    fail("parameter " + name + " of " + variant_.name, "a whole number from 1 on", text_of(value));
  }
  return static_cast<int64_t>(value);
}

const std::vector<float>& VariantMaker::keep(std::vector<float> values) {
  return tables_->floats.emplace_back(std::move(values));
}
const std::vector<int32_t>& VariantMaker::keep(std::vector<int32_t> values) {
  return tables_->ints.emplace_back(std::move(values));
}
const std::vector<uint8_t>& VariantMaker::keep(std::vector<uint8_t> values) {
  return tables_->flags.emplace_back(std::move(values));
}

const std::vector<float>& VariantMaker::normal(uint64_t seed, int64_t n) {
  check_entries(n);
  std::vector<float> values(static_cast<std::size_t>(n));
  const Random random(seed);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
  return keep(std::move(values));
}

void VariantMaker::check_entries(int64_t entries) const {
  constexpr int64_t kMost = int64_t{1} << 27;
  if (entries > kMost) {
    fail("entries of a table of " + variant_.name + " (it has one for each pair of tokens)",
         "at most " + std::to_string(kMost), std::to_string(entries));
  }
}

Variant VariantMaker::finish() {
  for (const auto& [name, value] : shape_.parameters) {
    std::vector<std::string> known;
    for (const Parameter& p : variant_.parameters) known.push_back(p.name);
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    fail("parameters of " + variant_.name, joined(known), name);
  }
  variant_.plain = [score = plain_score_, mask = plain_mask_](std::span<float> scores,
                                                              const Row& row) {
    if (score) score(scores, row);
    if (mask) mask(scores, row);
  };
  variant_.tables = tables_;
  return std::move(variant_);
}

std::vector<int32_t> document_ids(const VariantMaker& make) {
  if (!make.shape().documents.empty()) return make.shape().documents;
  constexpr std::size_t kDocuments = 12;
  std::array<double, kDocuments> ends{};
  double total = 0;
  for (std::size_t i = 0; i < kDocuments; ++i) ends[i] = total += 0.5 + Random(12).uniform(i);
  std::vector<int32_t> ids(static_cast<std::size_t>(make.length()));
  int32_t document = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const double position = total * static_cast<double>(i) / static_cast<double>(ids.size());
    while (position >= ends[static_cast<std::size_t>(document)]) ++document;
    ids[i] = document;
  }
  return ids;
}

std::vector<int32_t> document_starts(const std::vector<int32_t>& ids) {
  std::vector<int32_t> starts;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    while (static_cast<int32_t>(starts.size()) <= ids[i]) starts.push_back(static_cast<int32_t>(i));
  }
  starts.push_back(static_cast<int32_t>(ids.size()));
  return starts;
}

Canvas canvas_of(VariantMaker& make) {
  const auto root = static_cast<int64_t>(std::sqrt(static_cast<double>(make.length())));
  const int64_t width = make.whole("width", root);
  return {width, (make.length() + width - 1) / width};
}

std::vector<std::string> variant_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  return names;
}

Variant make_variant(std::string_view name, const Shape& shape) {
  for (const Entry& entry : kEntries) {
    if (name != entry.name) continue;
    VariantMaker make(entry.name, shape);
    entry.build(make);
    return make.finish();
  }
  fail("name of a variant", "one of " + joined(variant_names()), std::string(name));
}

}  // namespace fovea::gallery
