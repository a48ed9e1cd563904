// SPDX-License-Identifier: Apache-2.0
#include "parse_options.h"

#include <charconv>

#include <fmt/format.h>

#include "usage_error.h"

namespace fovea::cli {
namespace {

template <class T>
bool read(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Extent parse_extent(const std::string& option, const std::string& text) {
  const std::size_t cross = text.find('x');
  Extent extent;
  const bool valid = cross == std::string::npos ? read(text, extent.q)
                                                : read(text.substr(0, cross), extent.q) &&
                                                      read(text.substr(cross + 1), extent.kv);
  if (cross == std::string::npos) extent.kv = extent.q;
  if (!valid || extent.q < 1 || extent.kv < 1) {
    throw UsageError(
        fmt::format("{}: expected N or NxM, whole numbers from 1 on, got {}", option, text));
  }
  return extent;
}

std::map<std::string, double> parse_parameters(const std::vector<std::string>& texts) {
  std::map<std::string, double> parameters;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    double value = 0;
    if (equals == std::string::npos || equals == 0 || !read(text.substr(equals + 1), value)) {
      throw UsageError(fmt::format("--param: expected NAME=NUMBER, got {}", text));
    }
    parameters[text.substr(0, equals)] = value;
  }
  return parameters;
}

}  // namespace fovea::cli
