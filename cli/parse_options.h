// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

/// The forms of options that several verbs take. UsageError if a text does not have its form.
namespace fovea::cli {

struct Extent {
  int64_t q = 0, kv = 0;
};

/// "4096", or "4096x1024" for queries and keys; each at least 1.
Extent parse_extent(const std::string& option, const std::string& text);

/// "window=256".
std::map<std::string, double> parse_parameters(const std::vector<std::string>& texts);

}  // namespace fovea::cli
