// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fovea/program.h>

/// The gallery: attention variants as ordinary lambdas, each next to the same formula in plain C++.
namespace fovea::cli {

/// What a variant is made for. Parameters that are not given scale with the lengths.
struct VariantShape {
  int64_t q_len = 4096;
  int64_t kv_len = 4096;
  int64_t heads = 4;
  std::vector<int32_t> documents = {};  ///< document of each token; empty: twelve uneven ones
  std::map<std::string, double> parameters = {};
};

/// Turns the row of scores of (h, q) into what the variant makes of it, hidden ones into -inf.
/// Written without fovea, so that a demo can check one against the other.
using RowMod = std::function<void(std::span<float> scores, int64_t h, int64_t q)>;

struct Parameter {
  std::string name;
  double value = 0;
};

struct VariantTables;  // the memory behind the captured tensors

struct Variant {
  std::string name;
  std::string description;
  std::string formula;
  std::vector<Parameter> parameters = {};
  Program score_mod = {};  ///< may be empty
  Program mask_mod = {};   ///< may be empty
  RowMod plain = {};
  std::shared_ptr<const VariantTables> tables = {};
};

std::vector<std::string> variant_names();

/// A UsageError if there is no such variant, or if it does not have one of the parameters.
Variant make_variant(std::string_view name, const VariantShape& shape);

}  // namespace fovea::cli
